import base64
import json

import pytest

from tfrec.errors import UserError
from tfrec.service.guide.amounts import Price
from tfrec.service.guide.conversation import Conversation
from tfrec.service.guide.turn import Turn

WINE = Conversation().after(Turn("wine", price=Price(most=20), excluded=("nuts",), quantity=3))
SHOWN = WINE.with_shown(["a", "b", "c"], [5.0, 8.0, 12.0])


def token(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def test_what_is_written_is_read_back() -> None:
    assert Conversation.read(SHOWN.written()) == SHOWN
    assert Conversation.read(None) == Conversation()


@pytest.mark.parametrize(
    "bad",
    [
        "", "x", "%%%", "bWlsaw==", "ümlaut", token([1]), token({"subject": 1}),
        token({"subject": "x" * 501}), token({"user": "u1"}), token({"excluded": ["x"] * 21}),
        token({"excluded": [""]}), token({"quantity": 0}), token({"quantity": 101}),
        token({"most": -1}), token({"shown": ["x"] * 61}), token({"shown": ["x" * 257]}),
        base64.urlsafe_b64encode(b'{"most": NaN}').decode(), pytest.param("A" * 8192, id="long"),
    ],
)  # fmt: skip
def test_what_no_reply_has_given_is_refused(bad: str) -> None:
    with pytest.raises(UserError, match=r"conversation: .* none that a reply has given"):
        Conversation.read(bad)


def test_written_form_stays_short_enough_for_a_request() -> None:
    turn = Turn("x" * 200, excluded=tuple(f"{place:0100d}" for place in range(20)))
    shown = [f"{place:0256d}" for place in range(100)]

    written = Conversation().after(turn).with_shown(shown, []).written()

    assert len(written) <= 8192
    assert Conversation.read(written).shown[-1] == shown[-1]


def test_new_subject_keeps_price_and_exclusions() -> None:
    after = SHOWN.after(Turn("tea"))

    assert (after.subject, after.most, after.excluded) == ("tea", 20, ("nuts",))
    assert (after.quantity, after.shown, after.median) == (None, (), None)


def test_narrower_subject_is_put_before() -> None:
    after = SHOWN.after(Turn("italian", "narrower"))

    assert (after.subject, after.quantity) == ("italian wine", 3)


def test_cheaper_is_below_the_middle_of_what_was_shown_until_there_is_a_new_subject() -> None:
    cheaper = SHOWN.after(Turn(relative="cheaper"))

    assert cheaper.bounds == (None, 7.99)
    assert cheaper.after(Turn("tea")).bounds == (None, 20)


def test_dearer_is_above_it() -> None:
    assert SHOWN.after(Turn(relative="dearer")).bounds == (8.01, 20)


def test_cheaper_without_known_prices_is_cheap() -> None:
    assert WINE.after(Turn(relative="cheaper")).cheap
    assert WINE.after(Turn(relative="cheap")).bounds == (None, 20)


def test_amount_takes_the_place_of_the_one_before() -> None:
    cheaper = SHOWN.after(Turn(relative="cheaper"))

    assert cheaper.after(Turn(price=Price(least=30))).bounds == (30, None)


def test_exclusions_add_up_unless_they_are_instead() -> None:
    assert WINE.after(Turn(excluded=("eggs",))).excluded == ("nuts", "eggs")
    assert WINE.after(Turn(excluded=("eggs",), instead=True)).excluded == ("eggs",)
    assert WINE.after(Turn(allowed=("nuts",))).excluded == ()


def test_start_over_forgets_everything() -> None:
    assert SHOWN.after(Turn("tea", start_over=True)) == Conversation(subject="tea")
