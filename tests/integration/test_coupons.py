"""Complete Journey's campaigns, by the example config with fewer trees and draws."""

from pathlib import Path

import pytest

from tfrec.config import override, read_yaml, validate
from tfrec.data import datasets
from tfrec.errors import UserError
from tfrec.evaluation.promotions.config import UpliftConfig
from tfrec.stages.uplift import uplift

CONFIG = Path(__file__).parents[2] / "configs" / "coupons.yaml"


@pytest.fixture(scope="module", autouse=True)
def fetched() -> None:
    """The purchases and the campaigns, in the user's cache."""
    try:
        datasets.fetch("complete_journey", "transactions")
    except UserError as error:
        pytest.skip(str(error))


def test_campaigns_change_something_that_the_plain_difference_hides(tmp_path: Path) -> None:
    fast = {"runs": str(tmp_path), "folds": "2", "trees.trees": "50", "resamples": "20"}
    config = validate(UpliftConfig, override(read_yaml(CONFIG), fast))

    result, report = uplift(config)

    assert len(result.learned.campaigns) == 13
    assert len(result.held_out.campaigns) == 7
    for part in (result.learned, result.held_out):
        assert part.adjusted.low > 0
        assert part.unlike > 0.5
        assert part.unlike_weighted < 0.2
    assert result.learned.naive.value < 0
    rankers = result.rankers
    assert rankers["uplift"].qini.low > 0
    assert rankers["uplift"].qini.value > rankers["redemption"].qini.value
    assert rankers["uplift"].qini.value > rankers["spent"].qini.value
    assert result.promise is not None
    assert result.promise.regret_share < 0.01
    assert report.plot.exists()
