import random
import string

import pytest

from tfrec.service.guide.amounts import Price
from tfrec.service.guide.turn import Turn, read_turn

FREE = frozenset({"nut", "alcohol"})


@pytest.mark.parametrize(
    ("message", "turn"),
    [
        (
            "Snacks for a children's party, under 10 dollars, no nuts",
            Turn("snacks for a children's party", price=Price(most=10), excluded=("nuts",)),
        ),
        ("cheaper", Turn(relative="cheaper")),
        ("Something cheaper, please!", Turn(relative="cheaper")),
        ("more expensive", Turn(relative="dearer")),
        ("cheap wine", Turn("wine", relative="cheap")),
        ("wine, not too expensive", Turn("wine", relative="cheap")),
        ("without chocolate instead", Turn(excluded=("chocolate",), instead=True)),
        ("something else", Turn(other=True)),
        ("no chocolate, either", Turn(excluded=("chocolate",))),
        ("other ideas, without chocolate too", Turn(excluded=("chocolate",), other=True)),
        ("show me more", Turn(other=True)),
        ("start over: tea", Turn("tea", start_over=True)),
        ("and drinks?", Turn("drinks", "also")),
        ("what about tea", Turn("tea", "also")),
        ("only dark ones", Turn("dark ones", "narrower")),
        ("no nuts, eggs or milk", Turn(excluded=("nuts", "eggs", "milk"))),
        ("cake without nuts and without eggs", Turn("cake", excluded=("nuts", "eggs"))),
        ("cake but no nuts, and a tea", Turn("cake ; tea", excluded=("nuts",))),
        ("I'm allergic to peanuts", Turn(excluded=("peanuts",))),
        ("nut-free cookies", Turn("cookies", excluded=("nut",))),
        ("sugar free cookies", Turn("sugar free cookies")),
        ("not beer but wine", Turn("wine", excluded=("beer",))),
        ("nuts are ok", Turn(allowed=("nuts",))),
        ("three wines", Turn("wines", quantity=3)),
        ("do you have tea?", Turn("tea")),
        ("no thanks", Turn()),
        ("hello", Turn()),
        ("\U0001f355", Turn()),
    ],
)
def test_message_is_read(message: str, turn: Turn) -> None:
    assert read_turn(message, FREE) == turn


def test_markup_and_signs_do_not_become_words() -> None:
    turn = read_turn("<script>alert('x')</script> \"; DROP TABLE items; --", FREE)

    assert not set(turn.subject) & set('<>"()=|')


def test_any_text_is_read_quickly() -> None:
    source = random.Random(0)
    pieces = [
        "no ",
        "and ",
        "or ",
        ", ",
        "under ",
        "5 ",
        "$",
        "nuts ",
        "- ",
        "without ",
        "a ",
        "\n",
    ]
    pieces += ["<", "'", "\u200b", "\u0660", "\U0001f355", "between ", "for ", "ten "]
    for _ in range(60):
        text = "".join(source.choices([*pieces, *string.printable], k=500))[:500]
        turn = read_turn(text, FREE)
        assert len(turn.subject) <= 200
    read_turn("no " + "a, " * 160 + "or", FREE)
    read_turn("no " + "a and " * 80, FREE)
    read_turn("between " * 60, FREE)
    read_turn("1" * 500, FREE)
