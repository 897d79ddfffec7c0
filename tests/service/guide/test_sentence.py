import pytest

from tfrec.service.api import Filters, Slate, Understood
from tfrec.service.guide.sentence import Notes, sentence

NOTHING = Slate(request_id="r", scenario="search", items=())


@pytest.mark.parametrize(
    ("emptied_by", "why"),
    [
        ("most: price", ": the highest price leaves nothing"),
        ("without: category", ": what you do not want leaves nothing"),
        ("stock", ": what is in stock leaves nothing"),
        ("exclude", ": what you saw before leaves nothing"),
        ("bought", ""),
        (None, ""),
    ],
)
def test_empty_slate_says_what_emptied_it(emptied_by: str | None, why: str) -> None:
    slate = NOTHING.model_copy(update={"emptied_by": emptied_by})

    said = sentence(slate, Understood(about="tea", filters=Filters()), (), Notes(), "$")

    assert said == f"I found nothing for tea{why}; ask for less, or say start over."


def test_currency_is_the_shop_s_own() -> None:
    understood = Understood(about="", filters=Filters(least={"price": 2}, most={"price": 5}))

    assert "from €2.00 to €5.00" in sentence(NOTHING, understood, (), Notes(), "€")


@pytest.mark.parametrize("said", ["<b>tea</b>", 'tea" onload="x', "tea\u202e\x00", "tea" * 200])
def test_signs_and_long_words_do_not_come_back(said: str) -> None:
    text = sentence(
        NOTHING,
        Understood(about=said, filters=Filters()),
        (said,),
        Notes(unknown=(said,), by_label=(said,)),
        "$",
    )

    assert not set(text) & set('<>"=\u202e\x00')
    assert len(text) < 600
