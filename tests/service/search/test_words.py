import pytest

from tfrec.service.search.words import plain, replaced, singular, skeleton, words


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("cookies", "cookie"), ("berries", "berry"), ("pies", "pie"), ("dishes", "dish"),
        ("tomatoes", "tomato"), ("boxes", "box"), ("shoes", "shoe"), ("eggs", "egg"),
        ("cheeses", "cheese"), ("glass", "glass"), ("hummus", "hummus"), ("gas", "gas"),
    ],
)  # fmt: skip
def test_plural_and_singular_are_one_word(many: str, one: str) -> None:
    assert singular(many) == singular(one)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Kid's PIZZA, 2-pack!", ["kid", "pizza", "2", "pack"]),
        ("SNKS/CKYS/CRKR", ["snk", "cky", "crkr"]),
        ("Crème Brûlée", ["creme", "brulee"]),
        ("cho\u200bco\u00adlate", ["chocolate"]),
        ("\uff4d\uff49\uff4c\uff4b", ["milk"]),
        ("<b>milk</b>", ["b", "milk", "b"]),
        ("\U0001f355 \u202e ;--", []),
        ("巧克力", ["巧克力"]),
        ("milk\x00eggs\nbread", ["milk", "egg", "bread"]),
        ("x" * 41, []),
        ("", []),
    ],
)
def test_words_are_letters_and_digits_of_any_script(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_plain_text_has_one_case_and_one_width() -> None:
    assert plain("ÄPFEL \uff21") == "apfel a"


@pytest.mark.parametrize(
    ("word", "short"), [("frozen", "frzn"), ("dressing", "drsng"), ("oil", "ol"), ("drnk", "drnk")]
)
def test_skeleton_is_what_labels_leave_of_a_word(word: str, short: str) -> None:
    assert skeleton(word) == short


def test_longest_phrase_is_replaced_first() -> None:
    synonyms = {("soda",): ["soft", "drink"], ("club", "soda"): ["seltzer"]}

    assert replaced(["club", "soda", "and", "soda"], synonyms) == [
        "seltzer", "and", "soft", "drink",
    ]  # fmt: skip
