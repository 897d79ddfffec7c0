import pytest

from tfrec.service.flow.reasons import model_reason
from tfrec.service.flow.shop import Shop


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("because_you_bought:item-02", "Because you bought beer no. 2"),
        ("because_you_bought:gone", "Because you bought gone"),
        ("buy_again", "You buy this again and again"),
        ("because_of:weekday", "Because of the weekday"),
        ("because_of:visitor", "Picked for you"),
        ("because_of:recent", "Because of what you chose lately"),
        ("popular", "Popular right now"),
    ],
)
def test_a_models_reason_reads_as_a_sentence(toy_shop: Shop, code: str, why: str) -> None:
    assert model_reason(code, toy_shop) == (code, why)


@pytest.mark.parametrize("code", ["", "of_no_kind:x"])
def test_what_is_no_reason_has_no_sentence(toy_shop: Shop, code: str) -> None:
    assert model_reason(code, toy_shop) is None
