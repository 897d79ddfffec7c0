"""Whatever the split, nothing of validation and test events reaches training or their own queries.

Each shop is prepared twice, the second time with other items and features in all validation and
test events: everything of the training part must come out the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from busy_shop import DAY, BusyShop, Row, make_busy_shop, spec_of
from records import read_all_examples, read_example_files

from tfrec.data.events import USER
from tfrec.data.prepared import TEST, TRAIN, VALIDATION, PreparedData
from tfrec.data.queries import RELEVANT, SEEN
from tfrec.data.query_set import QuerySet
from tfrec.features.parsing import TIME
from tfrec.stages.prepare import prepare

FEATURES = ("visitor", "recent", "events_before", "product", "aisle", "device", "paid")
SHOWN = "shown"

EARLIER = {VALIDATION: {TRAIN}, TEST: {TRAIN, VALIDATION}}
SPLITS: dict[str, dict[str, Any]] = {
    "time": {"kind": "time", "validation": 6 * DAY, "test": 6 * DAY},
    "leave_last_out": {"kind": "leave_last_out"},
    "random": {"kind": "random", "validation": 0.2, "test": 0.2},
    "users": {"kind": "users", "validation": 0.2, "test": 0.3, "shown": 0.6},
    "files": {"kind": "files"},
}
SEES = {
    "time": EARLIER,
    "leave_last_out": EARLIER,
    "random": {VALIDATION: {TRAIN}, TEST: {TRAIN}},
    "users": {VALIDATION: {SHOWN}, TEST: {SHOWN}},
    "files": EARLIER,
}
"""Split -> part -> the parts that its queries may see."""

IN_TIME_ORDER = ("time", "leave_last_out", "users")


@dataclass(frozen=True)
class Case:
    """A shop prepared by one kind of split, and prepared once more after a change.

    Attributes:
      kind: of the split.
      shop: the raw rows.
      parts: time of an event -> its part; `shown` where no example is written.
      base: the prepared data.
      changed: those of the shop whose validation and test events are others.
    """

    kind: str
    shop: BusyShop
    parts: dict[int, str]
    base: PreparedData
    changed: PreparedData


@pytest.fixture(scope="module", params=SPLITS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind, folder = request.param, tmp_path_factory.mktemp("leaks")
    busy = make_busy_shop()
    events = [row for row in busy.events if row["action"] != "shown"]
    shop = BusyShop(events, busy.items, busy.promotions)
    of_files = dict(zip([row["at"] for row in events], _chosen_parts(), strict=False))
    base = _prepare(shop, kind, folder / "base", of_files)
    written = {
        example[TIME][0]: part
        for part in (TRAIN, VALIDATION, TEST)
        for example in read_all_examples(base.examples(part))
    }
    parts = {row["at"]: written.get(row["at"], SHOWN) for row in events}
    changed = _prepare(_with_other_answers(shop, parts), kind, folder / "changed", of_files)
    return Case(kind, shop, parts, base, changed)


def _chosen_parts() -> Iterator[str]:
    while True:
        yield from (TRAIN, TRAIN, VALIDATION, TRAIN, TEST)


def _prepare(shop: BusyShop, kind: str, folder: Path, of_files: dict[int, str]) -> PreparedData:
    sources = {part: str(folder / f"{part}.parquet") for part in (VALIDATION, TEST)}
    config = shop.write(
        folder,
        of_files if kind == "files" else None,
        targets=["buy"],
        split=SPLITS[kind] | (sources if kind == "files" else {}),
        labels={"kind": "negatives", "per_positive": 2},
        pairs={"within": "session", "min_count": 2},
    )
    return PreparedData(prepare(config, spec_of(*FEATURES), folder / "prepare").path)


def _with_other_answers(shop: BusyShop, parts: dict[int, str]) -> BusyShop:
    """Changes all that validation and test events say, but for who did something and when."""
    hidden = [row for row in shop.events if parts[row["at"]] in (VALIDATION, TEST)]
    products = dict(
        zip(
            [row["at"] for row in hidden],
            [row["product"] for row in [*hidden[7:], *hidden[:7]]],
            strict=True,
        )
    )
    events = [
        {**row, "product": products[row["at"]], "device": "leaked", "paid": 1e6}
        if row["at"] in products
        else row
        for row in shop.events
    ]
    return BusyShop(events, shop.items, shop.promotions)


def content(folder: Path) -> dict[str, bytes]:
    """The files of a directory."""
    found = {file.name: file.read_bytes() for file in sorted(folder.glob("*")) if file.is_file()}
    assert found
    return found


def test_training_examples_and_labels_know_nothing_of_later_answers(case: Case) -> None:
    for place in ("examples", "labelled"):
        base, changed = (getattr(data, place)(TRAIN) for data in (case.base, case.changed))

        assert read_example_files(changed) == read_example_files(base)
    assert case.changed.parts[TRAIN] == case.base.parts[TRAIN]


def test_what_is_fitted_knows_nothing_of_later_answers(case: Case) -> None:
    assets = "transform_fn/assets"

    words = content(case.base.transform / assets)

    assert content(case.changed.transform / assets) == words
    assert not any(b"leaked" in vocabulary for vocabulary in words.values())


def test_counts_and_pairs_know_nothing_of_later_answers(case: Case) -> None:
    base, changed = case.base.item_counts(TRAIN), case.changed.item_counts(TRAIN)
    pairs, others = (pa.parquet.read_table(d.pairs).to_pylist() for d in (case.base, case.changed))

    assert changed.tolist() == base.tolist()
    assert pairs
    assert others == pairs


def test_change_did_reach_what_it_should(case: Case) -> None:
    for part in (VALIDATION, TEST):
        base, changed = (read_all_examples(d.examples(part)) for d in (case.base, case.changed))
        assert changed != base
        counts = case.changed.item_counts(part)
        assert counts.tolist() != case.base.item_counts(part).tolist()
        assert counts.sum() == case.base.item_counts(part).sum()


def test_every_event_has_one_part(case: Case) -> None:
    events = [row["at"] for row in case.shop.events]
    examples = [
        example[TIME][0]
        for part in (TRAIN, VALIDATION, TEST)
        for example in read_all_examples(case.base.examples(part))
    ]

    assert len(examples) == len(set(examples))
    assert set(examples) <= set(events)
    assert (set(case.parts.values()) == {TRAIN, VALIDATION, TEST, SHOWN}) == (case.kind == "users")
    assert len(examples) == len(events) or case.kind == "users"


@pytest.mark.parametrize("part", [VALIDATION, TEST])
def test_queries_know_only_what_they_may_see(case: Case, part: str) -> None:
    queries = QuerySet.read(case.base.queries(part)).table.to_pylist()

    rows = {item["product"]: row for row, item in enumerate(case.shop.items)}
    asked = [row for row in _bought(case.shop.events) if case.parts[row["at"]] == part]
    assert sorted(query[USER] for query in queries) == sorted({row["visitor"] for row in asked})
    for query in queries:
        own = [row for row in case.shop.events if row["visitor"] == query[USER]]
        targets = [row for row in asked if row["visitor"] == query[USER]]
        visible = [row for row in own if case.parts[row["at"]] in SEES[case.kind][part]]
        if case.kind in IN_TIME_ORDER:
            assert all(row["at"] < targets[0]["at"] for row in visible)
        assert query[SEEN] == [rows[row["product"]] for row in _bought(visible)]
        assert query[RELEVANT] == [rows[row["product"]] for row in targets]
        assert query["recent"] == [row["product"] for row in visible][-3:]
        assert query["events_before"] == len(visible)


def _bought(events: Iterable[Row]) -> list[Row]:
    return [row for row in events if row["action"] == "buy"]


def test_shoppers_held_out_are_in_no_training_example(case: Case) -> None:
    of_part = {
        part: {row["visitor"] for row in case.shop.events if case.parts[row["at"]] == part}
        for part in (TRAIN, VALIDATION, TEST, SHOWN)
    }

    assert bool(of_part[SHOWN]) == (case.kind == "users")
    assert not of_part[SHOWN] & of_part[TRAIN]
    assert of_part[SHOWN] <= of_part[VALIDATION] | of_part[TEST]
