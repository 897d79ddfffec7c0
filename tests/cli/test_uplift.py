from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from coupon_shop import CouponShop, make_coupon_shop

from tfrec.cli.main import cli
from tfrec.errors import UserError


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> CouponShop:
    return make_coupon_shop(tmp_path_factory.mktemp("shop"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["uplift", *map(str, arguments)])


def test_effects_rankers_and_the_allocation_are_shown(shop: CouponShop, tmp_path: Path) -> None:
    done = run(shop.path, "--runs", tmp_path, "--allocation.budget", 50)

    assert done.exit_code == 0, done.output
    for shown in (
        "What a campaign changes, dollars a week",
        "All held-out pairs, adjusted",
        "Within each held-out campaign",
        "as if sent at random",
        "Held-out campaigns one by one",
        "Sent within the budget",
        "regret: at most",
    ):
        assert shown in done.output
    assert "warning" not in done.output
    assert f"Qini curves: {tmp_path / 'coupons' / 'uplift' / 'qini.png'}" in done.output


def test_model_that_is_not_better_than_chance_is_called_that(
    shop: CouponShop, tmp_path: Path
) -> None:
    # Trees of one leaf rank all alike.
    useless = "--learner", "t", "--trees.leaf_rows", 10_000

    done = run(shop.path, "--runs", tmp_path, "--resamples", 10, *useless)

    assert done.exit_code == 0, done.output
    assert "warning: on held-out campaigns the model is not better than chance" in done.output


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--learner", "s", "learner: 's'"),
        ("--overlap", "0.6", "overlap: 0.6"),
        ("--allocation.budget", "-1", "allocation.budget: -1"),
        ("--allocation.budget", ".inf", "allocation.budget: inf"),
        ("--budget", "5", "budget: unknown key"),
    ],
)
def test_wrong_values_are_named(option: str, value: str, message: str, shop: CouponShop) -> None:
    done = run(shop.path, option, value)

    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith(message)
