import json
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from coupon_shop import EXTRA, CouponShop, make_coupon_shop

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.evaluation.online.ratio import mean
from tfrec.evaluation.promotions.config import UpliftConfig
from tfrec.stages.uplift import UpliftReport, UpliftResult, uplift

WEEKLY = EXTRA / 2


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> CouponShop:
    return make_coupon_shop(tmp_path_factory.mktemp("shop"))


def run(shop: CouponShop, **changes: Any) -> tuple[UpliftResult, UpliftReport]:
    return uplift(validate(UpliftConfig, shop.changed(**changes)))


@pytest.fixture(scope="module")
def made(shop: CouponShop) -> tuple[UpliftResult, UpliftReport]:
    return run(shop)


@pytest.fixture(scope="module")
def other(shop: CouponShop) -> tuple[UpliftResult, UpliftReport]:
    """Whether something is bought, where redeeming costs; a campaign ends behind `held_out`."""
    allocation = {"budget": 100, "each": 2, "sent_costs": 1, "redeemed_costs": 5}
    changes = {"outcome": "buys", "held_out": "1970-03-25", "learner": "t", "resamples": 2}
    return run(shop, name="other", allocation=allocation, **changes)


def test_adjusted_effect_is_the_true_one(
    made: tuple[UpliftResult, UpliftReport], shop: CouponShop
) -> None:
    result, _ = made

    truth = WEEKLY * len(shop.responsive) / 300
    for part in (result.learned, result.held_out):
        assert part.adjusted.low < truth < part.adjusted.high
        assert part.unlike > 0.5
        assert part.unlike_weighted < 0.2
    assert result.learned.campaigns == ("c0", "c1", "c2", "c3")
    assert result.held_out.campaigns == ("c4", "c5", "c6", "c7")


def test_uplift_ranks_better_than_redemption_and_past_spending(
    made: tuple[UpliftResult, UpliftReport],
) -> None:
    result, _ = made

    for rankers in (result.rankers, result.within):
        assert [*rankers] == ["uplift", "redemption", "spent_on_campaign", "spent", "random"]
        # A perfect order of two halves, of which one gains.
        assert rankers["uplift"].qini.value == pytest.approx(WEEKLY / 8, abs=0.15)
        assert rankers["uplift"].qini.low > 0
        for name in ("redemption", "spent", "random"):
            assert rankers[name].less_than_first.low > 0
        assert rankers["random"].qini.value == 0


def test_campaigns_stand_one_by_one(made: tuple[UpliftResult, UpliftReport]) -> None:
    result, _ = made

    assert tuple(result.campaigns) == result.held_out.campaigns
    assert sum(one.overlapping for one in result.campaigns.values()) == result.held_out.overlapping
    for one in result.campaigns.values():
        assert one.adjusted.value == pytest.approx(WEEKLY / 2, abs=0.6)
        assert one.qini.value == pytest.approx(WEEKLY / 8, abs=0.25)


def test_pairs_say_who_is_to_get_what(
    made: tuple[UpliftResult, UpliftReport], shop: CouponShop
) -> None:
    result, report = made
    pairs = pyarrow.parquet.read_table(report.pairs).to_pandas()

    assert len(pairs) == result.held_out.pairs == 4 * 300
    to_send = pairs[pairs.to_send]
    assert len(to_send) == result.sendings["uplift"].offers <= 100
    assert not to_send.user.duplicated().any()
    assert to_send.overlapping.all()
    assert to_send.user.isin(shop.responsive).mean() > 0.95
    assert pairs.propensity.between(0, 1).all()


def test_money_goes_farther_by_uplift(made: tuple[UpliftResult, UpliftReport]) -> None:
    result, _ = made
    sendings = result.sendings

    assert result.promise is not None
    assert result.promise.regret <= 0.01 * result.promise.value
    gained = sendings["uplift"].gain
    # 100 mailings, two weeks each.
    assert gained.low < 100 * EXTRA < gained.high
    assert all(found.cost <= 100 for found in sendings.values())
    assert all(found.gain.value <= gained.value for found in sendings.values())
    # Half of those who are drawn gain nothing.
    assert sendings["random"].gain.value < 0.75 * gained.value


def test_report_holds_the_figures_and_the_plot(made: tuple[UpliftResult, UpliftReport]) -> None:
    result, report = made

    figures = json.loads(report.figures.read_text())
    assert figures["rankers"]["uplift"]["qini"]["value"] == result.rankers["uplift"].qini.value
    assert "curve" not in figures["rankers"]["uplift"]
    assert report.plot.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in report.path.parent.iterdir()] == ["uplift"]


def test_budget_counts_redemptions_where_they_cost(
    other: tuple[UpliftResult, UpliftReport],
) -> None:
    result, report = other

    pairs = pyarrow.parquet.read_table(report.pairs).to_pandas()
    chosen = pairs[pairs.to_send]
    spent = (1 + 5 * chosen.redemption).sum()
    assert result.sendings["uplift"].cost == pytest.approx(spent)
    assert 90 < spent <= 100
    assert chosen.user.value_counts().max() == 2


def test_lots_do_not_prefer_cheap_pairs(other: tuple[UpliftResult, UpliftReport]) -> None:
    result, report = other

    pairs = pyarrow.parquet.read_table(report.pairs).to_pandas()
    mean_cost = 1 + 5 * pairs[pairs.overlapping].redemption.mean()
    random = result.sendings["random"]
    assert 90 < random.cost <= 100
    assert random.cost / random.offers == pytest.approx(mean_cost, rel=0.08)
    assert random.shoppers <= random.offers <= 2 * random.shoppers


def test_interval_of_too_few_shoppers_is_written_as_null(
    shop: CouponShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfrec.stages.uplift.mean", lambda values: mean(values[:1]))
    trees = {"trees": 5, "leaf_rows": 20}

    result, report = run(shop, name="few", trees=trees, resamples=2)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    figures = json.loads(report.figures.read_text(), parse_constant=refuse)
    written = figures["campaigns"]["c4"]["adjusted"]
    assert written["value"] == result.campaigns["c4"].adjusted.value
    assert written["low"] is written["high"] is written["standard_error"] is None


def test_whether_something_is_bought_can_be_the_outcome(
    other: tuple[UpliftResult, UpliftReport],
) -> None:
    result, report = other

    assert 0 < result.held_out.adjusted.value < 1
    assert result.promise is not None
    assert 0 < result.promise.value < result.sendings["uplift"].offers
    pairs = pyarrow.parquet.read_table(report.pairs)
    assert set(np.unique(pairs["outcome"])) == {0.0, 1.0}


def test_campaigns_that_run_into_the_held_out_ones_are_left_out(
    other: tuple[UpliftResult, UpliftReport],
) -> None:
    result, _ = other

    assert result.learned.campaigns == ("c0", "c1", "c2")
    assert result.held_out.campaigns == ("c4", "c5", "c6", "c7")
    assert result.left_out == {"campaigns: ran while the held-out ones began": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": "1970-01-02"}, "held_out: 1970-01-02: no campaign ended by then"),
        ({"held_out": "1999-01-01"}, "held_out: 1999-01-01: no campaign began from then on"),
        ({"history": "52w"}, r"no campaign .*began before there was enough history: 8"),
        ({"fewest": 290}, r"sent to fewer than 290: 8"),
        ({"shortest": "20d"}, r"too short in the log: 8"),
        ({"overlap": 0.4999}, r"overlap: 0.4999: .* lower it"),
    ],
)
def test_what_cannot_be_learned_from_is_said(
    changes: dict[str, Any], message: str, shop: CouponShop
) -> None:
    with pytest.raises(UserError, match=message):
        run(shop, **changes)
