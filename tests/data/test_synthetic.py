"""A synthetic shop keeps to the laws that docs/synthetic.md states.

Shares are compared within five standard errors, so that the tests hold for any seed.
"""

import datetime
import math
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.synthetic import SyntheticShop, events, generate
from tfrec.errors import UserError

SEED = 0
SMALL = {"users": 50, "items": 40, "categories": 4, "events": 4000, "days": 9}


class Made:
    """A generated shop, read back."""

    def __init__(self, folder: Path, **parameters: Any) -> None:
        self.config = validate(SyntheticShop, parameters)
        self.folder = folder
        generate(self.config, folder)

    def read(self, table: str) -> pd.DataFrame:
        return pa.parquet.read_table(self.folder / table).to_pandas()

    @cached_property
    def events(self) -> pd.DataFrame:
        return self.read("events")

    @cached_property
    def items(self) -> pd.DataFrame:
        return self.read("items.parquet").set_index("item_id")

    @cached_property
    def begins(self) -> pd.Series:
        """When each session began."""
        return self.events.groupby("session_id").time.min()

    def of_type(self, name: str) -> pd.DataFrame:
        return self.events[self.events.event == name]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A shop with all that a shop can have."""
    return Made(
        tmp_path_factory.mktemp("synthetic") / "shop",
        users=3000,
        items=600,
        categories=12,
        events=600_000,
        start="2023-11-01",
        days=60,
        seed=SEED,
    )


@pytest.fixture(scope="module")
def plain_shop(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A shop without what bends the plain laws: nothing new, no complements, no displays."""
    return Made(
        tmp_path_factory.mktemp("synthetic") / "plain",
        users=3000,
        items=600,
        categories=12,
        events=600_000,
        days=60,
        seed=SEED,
        new_users=0,
        new_items=0,
        complements={"chance": 0},
        promotions={"display_looks": 0},
    )


def assert_share(hits: float, count: float, expected: float, slack: float = 0.0) -> None:
    error = math.sqrt(expected * (1 - expected) / count)
    assert abs(hits / count - expected) < 5 * error + slack, (hits / count, expected, error)


def zipf_exponent(counts: pd.Series, ranks: int) -> float:
    """Minus the slope of log(count) over log(rank), by least squares."""
    x = [math.log(rank) for rank in range(1, ranks + 1)]
    y = [math.log(count) for count in counts.sort_values(ascending=False)[:ranks]]
    mean_x, mean_y = sum(x) / ranks, sum(y) / ranks
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return -covariance / sum((a - mean_x) ** 2 for a in x)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    """Makes small shops."""
    made: list[Made] = []

    def one(**changes: Any) -> Made:
        made.append(Made(tmp_path / f"shop-{len(made)}", **{**SMALL, **changes}))
        return made[-1]

    return one


def test_items_are_looked_at_by_zipfs_law(plain_shop: Made) -> None:
    counts = plain_shop.of_type("impression").item_id.value_counts()

    assert zipf_exponent(counts, 100) == pytest.approx(1.0, abs=0.12)


def test_users_are_active_by_zipfs_law_which_makes_their_segments(plain_shop: Made) -> None:
    sessions = plain_shop.events.groupby("user_id").session_id.nunique()

    assert zipf_exponent(sessions, 300) == pytest.approx(0.6, abs=0.08)
    users = plain_shop.read("users.parquet").set_index("user_id")
    assert users.segment.value_counts().to_dict() == {
        "loyal": 300,
        "regular": 1200,
        "occasional": 1500,
    }
    mean = sessions.groupby(users.segment).mean()
    assert mean["loyal"] > mean["regular"] > mean["occasional"]


def test_users_look_at_the_categories_they_have_a_taste_for(plain_shop: Made) -> None:
    looks = plain_shop.of_type("impression")
    category = plain_shop.items.category[looks.item_id].to_numpy()
    observed = pd.crosstab(looks.user_id, category)
    tastes = plain_shop.read("tastes.parquet").pivot_table(
        index="user_id", columns="category", values="weight", aggfunc="sum", fill_value=0.0
    )
    tastes = tastes.reindex(index=observed.index, columns=observed.columns, fill_value=0.0)
    popular = observed.sum() / len(looks)
    expected = 0.8 * tastes + 0.2 * popular

    busy = observed.sum(axis=1) > 500
    shares = observed[busy].div(observed[busy].sum(axis=1), axis=0)
    assert np.abs(shares - expected[busy]).to_numpy().max() < 0.12
    assert np.abs(shares - expected[busy]).to_numpy().mean() < 0.01


def test_purchases_concentrate_on_own_categories(plain_shop: Made) -> None:
    bought = plain_shop.of_type("purchase")
    own = set(plain_shop.read("tastes.parquet")[["user_id", "category"]].itertuples(index=False))
    category = plain_shop.items.category[bought.item_id]

    inside = sum(pair in own for pair in zip(bought.user_id, category, strict=True))
    by_chance = sum(pair in own for pair in zip(bought.user_id[::-1], category, strict=True))

    assert inside / len(bought) > 0.8
    assert by_chance / len(bought) < 0.6


def test_each_step_of_the_funnel_has_its_rate(plain_shop: Made) -> None:
    count = Counter(plain_shop.events.event)
    regular = plain_shop.events[~plain_shop.events.coupon & ~promoted(plain_shop)]
    at_regular_price = Counter(regular.event)

    assert_share(count["click"], count["impression"], 0.4)
    assert_share(count["view"], count["click"], 0.9)
    assert_share(count["cart"], count["view"], 0.35)
    assert_share(at_regular_price["purchase"], at_regular_price["cart"], 0.45)


def test_session_has_a_geometric_number_of_looks_minutes_apart(plain_shop: Made) -> None:
    log = plain_shop.events.sort_values("session_id", kind="stable")
    looks = log[log.event == "impression"].session_id.value_counts()
    gaps = log.time.diff().dt.total_seconds()[log.session_id.diff() == 0]
    is_look = log.event.loc[gaps.index] == "impression"

    for number in (1, 2, 3):
        expected = (1 / 6) * (5 / 6) ** (number - 1)
        assert_share((looks == number).sum(), len(looks), expected)
    for mean, sample in ((120, gaps[is_look]), (15, gaps[~is_look])):
        assert sample.mean() == pytest.approx(mean, abs=5 * mean / math.sqrt(len(sample)) + 0.1)
        assert_share((sample > mean).sum(), len(sample), math.exp(-1), slack=0.03)


def test_events_of_a_session_are_of_one_user_and_one_channel(shop: Made) -> None:
    sessions = shop.events.groupby("session_id").agg({"user_id": "nunique", "channel": "nunique"})

    assert (sessions == 1).all(axis=None)
    web = shop.events.groupby("session_id").channel.first() == "web"
    assert_share(web.sum(), len(web), 0.6)


def test_days_follow_week_and_holidays(shop: Made) -> None:
    weights = {}
    for number in range(shop.config.days):
        day = shop.config.start + datetime.timedelta(number)
        bells = 0.0
        for month, of_month in ((2, 13), (5, 10), (11, 28), (12, 20)):
            for year in (2022, 2023, 2024):
                distance = (day - datetime.date(year, month, of_month)).days
                bells += 1.5 * math.exp(-((distance / 3) ** 2) / 2)
        weights[day] = (1.4 if day.weekday() >= 5 else 1.0) * (1 + bells)

    begun = shop.begins[shop.events.session_id].dt.date.value_counts()

    assert set(begun.index) == set(weights)
    errors = []
    for day, weight in weights.items():
        expected = len(shop.events) * weight / sum(weights.values())
        # Sessions are long or short by chance: a day's events vary as the root of their number.
        errors.append((begun[day] / expected - 1) * math.sqrt(expected / 12))
    assert max(map(abs, errors)) < 5
    assert abs(np.mean(errors)) < 0.5
    assert begun[datetime.date(2023, 11, 28)] > 2 * begun[datetime.date(2023, 11, 14)]


def test_hours_follow_a_daily_wave(shop: Made) -> None:
    begun = shop.begins.dt.hour.value_counts()

    for hour in range(24):
        expected = (1 + 0.8 * math.cos(2 * math.pi * (hour - 20) / 24)) / 24
        assert_share(begun[hour], len(shop.begins), expected)


def test_purchase_leads_to_a_view_and_often_a_purchase_of_the_complement(shop: Made) -> None:
    table = shop.read("complements.parquet")
    complement = dict(zip(table.item_id, table.complement_id, strict=True))
    bought = sessions_of(shop.of_type("purchase"))
    viewed = sessions_of(shop.of_type("view"))

    def followed(pairs: dict[str, str], by: dict[str, set[int]]) -> tuple[int, int]:
        causes = sum(len(bought.get(item, ())) for item in pairs)
        hits = (len(bought.get(a, set()) & by.get(b, set())) for a, b in pairs.items())
        return sum(hits), causes

    shuffled = dict(zip(complement, np.roll(list(complement.values()), 1), strict=True))
    views, causes = followed(complement, viewed)
    purchases, _ = followed(complement, bought)
    by_chance, _ = followed(shuffled, bought)

    assert len(complement) == pytest.approx(0.3 * 600, abs=5 * math.sqrt(600 * 0.3 * 0.7))
    assert_share(views, causes, 0.6, slack=0.04)
    assert purchases / causes > 0.6 * 0.35 * 0.45 * 0.8
    assert purchases > 5 * by_chance


def test_complement_is_viewed_without_being_shown(make: Callable[..., Made]) -> None:
    made = make(events=40_000, complements={"share": 1, "chance": 1})
    count = Counter(made.events.event)

    assert_share(count["click"], count["impression"], 0.4)
    assert count["view"] > count["click"]
    assert_share(count["cart"], count["view"], 0.35)


def test_purchases_rise_as_prices_fall_by_the_elasticity(shop: Made) -> None:
    log = shop.events.assign(discount=discounts(shop))
    regular = shop.items.price[log.item_id].to_numpy()
    paid_share = (1 - log.discount) * np.where(log.coupon, 0.9, 1.0)

    assert np.abs(log.price - regular * paid_share).max() < 0.01
    for discount in (0.0, 0.1, 0.2, 0.3):
        for coupon in (False, True):
            group = log[np.isclose(log.discount, discount) & (log.coupon == coupon)]
            count = Counter(group.event)
            share = (1 - discount) * (0.9 if coupon else 1.0)
            assert_share(count["purchase"], count["cart"], 0.45 * share**-1.5)


def test_promotions_cover_their_share_of_items_for_a_week(shop: Made) -> None:
    promotions = shop.read("promotions.parquet")

    assert set(promotions.end - promotions.start) == {pd.Timedelta(7, "d")}
    assert (promotions.start >= shop.items.launch[promotions.item_id].to_numpy()).all()
    assert_share(promotions.display.sum(), len(promotions), 0.3)
    assert set(promotions.discount) == {0.1, 0.2, 0.3}
    established = (shop.items.launch < "2023-11-01").sum()
    assert_share((promotions.start == "2023-11-01").sum(), established, 0.05)


def test_displays_draw_looks(shop: Made) -> None:
    looks = shop.events.event == "impression"
    displayed = promoted(shop, only_displays=True)

    items_displayed = 600 * 0.05 * 0.3
    assert (looks & displayed).sum() / looks.sum() > 0.08
    assert (looks & displayed).sum() / looks.sum() > 3 * items_displayed / 600


def test_coupons_are_used_by_their_holders_in_the_cart(shop: Made) -> None:
    users = shop.read("users.parquet").set_index("user_id")
    with_coupon = shop.events[shop.events.coupon]

    assert_share(users.has_coupons.sum(), len(users), 0.2)
    assert set(with_coupon.event) == {"cart", "purchase"}
    assert users.has_coupons[with_coupon.user_id].all()
    carts = shop.of_type("cart")
    holders = carts[users.has_coupons[carts.user_id].to_numpy()]
    assert_share(holders.coupon.sum(), len(holders), 0.3)


def test_pieces_are_counted_in_cart_and_purchase_only(shop: Made) -> None:
    in_cart = shop.events.event.isin(["cart", "purchase"])

    assert (shop.events.quantity[~in_cart] == 0).all()
    carts = shop.of_type("cart").quantity
    assert_share((carts == 1).sum(), len(carts), math.exp(-0.2))


def test_nothing_happens_before_launch_or_signup(shop: Made) -> None:
    users = shop.read("users.parquet").set_index("user_id")
    log = shop.events

    assert (log.time >= shop.items.launch[log.item_id].to_numpy()).all()
    assert (log.time >= users.signup[log.user_id].to_numpy()).all()
    assert_share((shop.items.launch >= "2023-11-01").sum(), len(shop.items), 0.2, slack=0.02)
    assert_share((users.signup >= "2023-11-01").sum(), len(users), 0.3)
    new = shop.items.index[shop.items.launch >= "2023-11-01"]
    assert log.item_id.isin(new).any()


def test_prices_are_log_normal_around_their_category(make: Callable[..., Made]) -> None:
    made = make(items=20_000, categories=5)
    logarithms = np.log(made.items.price)

    for _, prices in logarithms.groupby(made.items.category):
        assert prices.std() == pytest.approx(0.4, abs=5 * 0.4 / math.sqrt(2 * len(prices)))
        assert prices.skew() == pytest.approx(0, abs=5 * math.sqrt(6 / len(prices)))


def test_brand_belongs_to_one_category(shop: Made) -> None:
    assert (shop.items.groupby("brand").category.nunique() == 1).all()
    assert shop.items.brand.nunique() <= 12 * 10
    first = shop.items.iloc[0]
    assert first.title == f"{first.brand} {first.category} i0000000"


def test_files_hold_the_log_in_order_of_time(make: Callable[..., Made]) -> None:
    made = make(events_per_file=1500)

    files = sorted((made.folder / "events").iterdir())
    tables = [pa.parquet.read_table(file) for file in files]

    assert [file.name for file in files] == [f"events-0000{n}.parquet" for n in range(3)]
    assert [len(table) for table in tables] == [1500, 1500, 1000]
    assert pa.concat_tables(tables)["time"].to_pandas().is_monotonic_increasing


def test_busy_day_is_drawn_in_blocks_without_a_seam(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_BLOCK_EVENTS", 50)

    made = make(days=2, events=20_000)

    assert len(made.events) == 20_000
    assert made.events.time.is_monotonic_increasing
    assert made.events.groupby("session_id").user_id.nunique().max() == 1
    for hour in range(24):
        expected = (1 + 0.8 * math.cos(2 * math.pi * (hour - 20) / 24)) / 24
        assert_share((made.begins.dt.hour == hour).sum(), len(made.begins), expected, slack=0.01)


def test_same_config_gives_the_same_bytes_and_another_seed_another_shop(
    make: Callable[..., Made],
) -> None:
    first, again, other = make(seed=1), make(seed=1), make(seed=2)

    names = [path.relative_to(first.folder) for path in first.folder.rglob("*.parquet")]
    assert len(names) == 6
    for name in names:
        assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()
        assert (first.folder / name).read_bytes() != (other.folder / name).read_bytes()


def test_rows_do_not_depend_on_the_size_of_files(make: Callable[..., Made]) -> None:
    pd.testing.assert_frame_equal(make().events, make(events_per_file=7).events)


@pytest.mark.parametrize(
    "extreme",
    [
        {"users": 1, "items": 1, "categories": 1, "events": 1},
        {"events": 3, "days": 9},
        {"new_users": 1.0, "new_items": 1.0},
        {"promotions": {"share": 0}},
        {"promotions": {"share": 1, "days": 1}},
        {"complements": {"share": 1, "chance": 1}},
        {"season": {"holidays": []}},
        {"sessions": {"looks": 1}},
        {"tastes": {"per_user": 1, "own_share": 1}},
        {"user_exponent": 0, "item_exponent": 0},
    ],
)
def test_extreme_shops_have_as_many_events_as_asked_for(
    make: Callable[..., Made], extreme: dict[str, Any]
) -> None:
    made = make(**extreme)

    assert len(made.events) == made.config.events
    assert made.events.time.is_monotonic_increasing


def test_config_that_comes_with_the_shop_fits_its_files(make: Callable[..., Made]) -> None:
    made = make()
    content = yaml.safe_load((made.folder / "experiment.yaml").read_text())
    config = validate(DataConfig, content["data"], "data")

    assert {config.user, config.item, "time", "event"} <= set(made.events.columns)
    assert set(made.events.event) <= set(config.events[0].weights)
    assert set(content["features"]) - {"recent_items", "weekday"} <= {
        *made.events.columns,
        *made.items.columns,
    }
    assert config.promotions is not None
    assert config.promotions.source == str(made.folder / "promotions.parquet")


def test_progress_counts_up_to_all_events(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    generate(
        validate(SyntheticShop, SMALL), tmp_path / "shop", lambda *numbers: told.append(numbers)
    )

    assert told[-1] == (4000, 4000)
    assert len(told) >= SMALL["days"]
    assert told == sorted(told)


def test_empty_folder_is_filled_and_a_used_one_refused(tmp_path: Path) -> None:
    folder, config = tmp_path / "shop", validate(SyntheticShop, SMALL)
    folder.mkdir()

    written = generate(config, folder)

    assert written == folder / "experiment.yaml"
    with pytest.raises(UserError, match="shop: exists already; give a new or an empty folder"):
        generate(config, folder)
    with pytest.raises(UserError, match=r"experiment\.yaml: exists already"):
        generate(config, written)


def test_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(done: int, total: int) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        generate(validate(SyntheticShop, SMALL), tmp_path / "shop", fail)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"users": 0}, "users: 0: Input should be greater than or equal to 1"),
        ({"items": 5}, "categories: 20: more than the 5 items; give at most one category per item"),
        ({"season": {"holidays": ["13-40"]}}, "'13-40' is no day of every year; write MM-DD"),
        ({"sessions": {"look_gap": "two"}}, "sessions.look_gap: 'two': not a duration"),
        (
            {"funnel": {"purchase": 0.6}},
            "funnel.purchase: 0.6: becomes a chance of 1.20 at 0.63 of the regular price; lower it",
        ),
        ({"promotions": {"discounts": []}}, "promotions.discounts: "),
        ({"tastes": {"own": 0.5}}, "tastes.own: unknown key; known here: per_user, own_share"),
        ({"clusters": 5}, "clusters: unknown key; known here: users, items, events, categories"),
    ],
)
def test_bad_value_is_named_with_the_remedy(wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        validate(SyntheticShop, wrong)

    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def sessions_of(log: pd.DataFrame) -> dict[str, set[int]]:
    """Item -> sessions that have it."""
    return log.groupby("item_id").session_id.agg(set).to_dict()


def discounts(made: Made) -> np.ndarray:
    """The discount at which each event's session found its item: `[events]`."""
    return in_promotion(made, "discount")


def promoted(made: Made, only_displays: bool = False) -> np.ndarray:
    """Whether each event's item was on promotion, or on display: `[events]`."""
    return in_promotion(made, "display" if only_displays else "discount") > 0


def in_promotion(made: Made, column: str) -> np.ndarray:
    promotions = made.read("promotions.parquet")
    keys = zip(promotions.item_id, promotions.start, strict=True)
    value = dict(zip(keys, promotions[column].astype(float), strict=True))
    day = made.begins[made.events.session_id].dt.normalize()
    first = pd.Timestamp(made.config.start)
    week = first + (day - first).dt.days // 7 * pd.Timedelta(7, "d")
    return np.array([value.get(key, 0.0) for key in zip(made.events.item_id, week, strict=True)])
