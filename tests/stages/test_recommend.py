import gzip
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf
from shop import EVENTS, Shop
from toy_bundle import write_toy_bundle

import tfrec.stages.recommend as module
from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.prepared import PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.serving.servable import Servable
from tfrec.stages.export import ServingBundle
from tfrec.stages.prepare import prepare
from tfrec.stages.recommend import RecommendedTable, recommend
from tfrec.stages.recommender import Recommender

MOMENT = datetime(2020, 12, 24, 18)
ONE, SEVERAL = [None], [None, None]
INPUTS = {
    name: tf.TensorSpec(shape, dtype, name)
    for name, shape, dtype in [
        ("shopper", ONE, tf.string),
        ("recent", SEVERAL, tf.string),
        ("days_since_last_visit", ONE, tf.float32),
        ("events_before", ONE, tf.float32),
        ("age", ONE, tf.float32),
        ("weekday", ONE, tf.string),
        ("tastes", SEVERAL, tf.string),
        ("mood", [None, 2], tf.float32),
    ]
}
FEATURES: dict[str, dict[str, Any]] = {
    "shopper": {"role": "user", "kind": "categorical", "embedding": 2},
    "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 5},
    "days_since_last_visit": {"role": "user", "kind": "numeric"},
    "events_before": {"role": "user", "kind": "numeric"},
    "age": {"role": "user", "kind": "numeric"},
    "sku": {"role": "item", "kind": "categorical", "embedding": 2},
    "weekday": {"role": "context", "kind": "categorical", "embedding": 2},
    "tastes": {
        "role": "context", "kind": "multi_categorical", "embedding": 2, "separator": "|",
    },
    "mood": {"role": "context", "kind": "vector", "dim": 2},
}  # fmt: skip

Lists = dict[str, list[tuple[str, float]]]


@pytest.fixture(scope="module")
def events(shop: Shop) -> pa.Table:
    """The shop's events with an action, and features of every kind."""
    random = np.random.default_rng(1)
    ages = [None if random.random() < 0.1 else float(age) for age in random.integers(90, size=40)]
    table = pa.parquet.read_table(shop.events)
    users = [user or "user-0" for user in table["shopper"].to_pylist()]
    for name, values in {
        "action": random.choice(["buy", "view", "shown"], EVENTS),
        "age": [ages[int(user.removeprefix("user-"))] for user in users],
        "tastes": random.choice(["tea|jam", "tea", ""], EVENTS),
        "mood": list(random.normal(size=(EVENTS, 2))),
    }.items():
        table = table.append_column(name, pa.array(values))
    return table


@pytest.fixture(scope="module")
def prepared(
    shop: Shop, events: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> PreparedData:
    folder = tmp_path_factory.mktemp("typed")
    pa.parquet.write_table(events, folder / "events.parquet")
    content = shop.config()["data"]
    content["events"] |= {
        "source": str(folder / "events.parquet"),
        "type_column": "action",
        "weights": {"buy": 3, "view": 1, "shown": 0},
    }
    config = validate(DataConfig, {**content, "targets": ["buy"], "shards": 3}, "data")
    spec = validate(FeatureSpec, FEATURES, "features")
    return PreparedData(prepare(config, spec, folder / "prepare").path)


@pytest.fixture(scope="module")
def bundle(prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> ServingBundle:
    return write_toy_bundle(prepared, INPUTS, tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def recommender(bundle: ServingBundle) -> Recommender:
    return Recommender.load(bundle)


def read(table: RecommendedTable) -> Lists:
    """Each shopper's ids and scores, in the order of their ranks."""
    rows = pa.parquet.read_table(table.path).to_pylist()
    lists: Lists = {}
    for row in rows:
        lists.setdefault(row["user"], []).append((row["id"], row["score"]))
        assert row["rank"] == len(lists[row["user"]])
    return lists


def assert_as_asked_one_by_one(
    lists: Lists,
    recommender: Recommender,
    questions: Mapping[str, Mapping[str, Any]],
    k: int = 10,
) -> None:
    """Checks lists against those of `Recommender`, shopper -> features and `exclude`.

    Items whose scores differ by no more than rounding may stand in any order.
    """
    assert lists.keys() == questions.keys()
    for user, question in questions.items():
        items = recommender.recommend(k=k, moment=MOMENT, shopper=user, **question)
        expected = {item.id: item.score for item in items}
        assert dict(lists[user]) == pytest.approx(expected, rel=1e-4, abs=1e-4)
        scores = [item.score for item in items]
        assert [score for _, score in lists[user]] == pytest.approx(scores, rel=1e-4, abs=1e-4)


def test_all_known_shoppers_get_what_they_get_one_by_one(
    bundle: ServingBundle, recommender: Recommender, tmp_path: Path
) -> None:
    table = recommend(bundle, tmp_path / "out", moment=MOMENT)

    assert (table.shoppers, table.unknown, table.rows, table.read) == (40, 0, 400, 0)
    questions: dict[str, dict] = {f"user-{number}": {} for number in range(40)}
    assert_as_asked_one_by_one(read(table), recommender, questions)
    assert pa.parquet.read_table(table.path).schema == module.SCHEMA
    assert len(list(table.path.glob("*.parquet"))) > 1


def test_values_of_the_file_stand_before_what_is_known(
    bundle: ServingBundle, recommender: Recommender, tmp_path: Path
) -> None:
    users = pa.table(
        {
            "shopper": ["user-1", "user-2", "user-3", "Zoë", "nobody"],
            "recent": [["sku-003", "sku-001"], None, [], ["sku-002"], None],
            "age": [17.5, None, 30.0, None, 5.0],
            "mood": [[0.5, -2.0], None, None, [1.0, 1.0], None],
            "mail": list("abcde"),
        }
    )
    pa.parquet.write_table(users, tmp_path / "users.parquet")

    table = recommend(bundle, tmp_path / "out", str(tmp_path / "users.parquet"), moment=MOMENT)

    questions: dict[str, dict[str, Any]] = {
        "user-1": {"recent": ["sku-003", "sku-001"], "age": 17.5, "mood": [0.5, -2.0]},
        "user-2": {},
        "user-3": {"recent": [], "age": 30.0},
        "Zoë": {"recent": ["sku-002"], "mood": [1.0, 1.0]},
        "nobody": {"age": 5.0},
    }
    assert_as_asked_one_by_one(read(table), recommender, questions)
    assert (table.shoppers, table.unknown, table.unused) == (5, 2, ["mail"])


def test_text_is_cut_at_the_features_separator_or_at_commas(
    bundle: ServingBundle, recommender: Recommender, tmp_path: Path
) -> None:
    rows = [
        "shopper,recent,tastes,mood,age",
        'user-1,"sku-003,sku-001",tea|jam,"1,-2.5",4',
        "x,,,,",
    ]
    (tmp_path / "users.csv").write_text("\n".join(rows))

    table = recommend(bundle, tmp_path / "out", str(tmp_path / "users.csv"), moment=MOMENT)

    given = {"recent": ["sku-003", "sku-001"], "tastes": ["tea", "jam"], "mood": [1, -2.5]}
    questions: dict[str, dict[str, Any]] = {"user-1": {**given, "age": 4.0}, "x": {}}
    assert_as_asked_one_by_one(read(table), recommender, questions)


def test_first_row_of_a_shopper_counts(
    bundle: ServingBundle, recommender: Recommender, tmp_path: Path
) -> None:
    (tmp_path / "b.csv").write_text("shopper,age\nann,3\n")
    (tmp_path / "a.csv").write_text("shopper,age\nbob,1\nann,1\nann,2\n")

    table = recommend(
        bundle, tmp_path / "out", [str(tmp_path / f"{n}.csv") for n in "ba"], moment=MOMENT
    )

    assert_as_asked_one_by_one(read(table), recommender, {"ann": {"age": 1}, "bob": {"age": 1}})
    assert (table.read, table.dropped) == (4, {"repeated user": 2})


def test_what_was_chosen_before_can_be_left_out(
    bundle: ServingBundle,
    recommender: Recommender,
    events: pa.Table,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_GROUP_SHOPPERS", 7)
    monkeypatch.setattr(module, "_BATCH_COMPARISONS", 20_000)
    bought: dict[str, set[str]] = {}
    for row in events.to_pylist():
        if row["action"] == "buy" and row["shopper"] and row["sku"] != "sku-unknown":
            bought.setdefault(row["shopper"], set()).add(row["sku"])

    table = recommend(bundle, tmp_path / "out", k=110, exclude_seen=True, moment=MOMENT)

    questions = {user: {"exclude": sorted(skus)} for user, skus in bought.items()}
    lists = read(table)
    assert_as_asked_one_by_one(lists, recommender, questions, k=110)
    assert any(len(items) < 110 for items in lists.values()), "no list is short"
    assert table.rows == sum(map(len, lists.values()))


def test_nothing_is_sent_as_excluded_where_nothing_is(
    bundle: ServingBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths, run = set(), Servable.run

    def spy(self: Servable, signature: Any, inputs: Any, *rest: Any) -> Any:
        widths.add(inputs[module.EXCLUDE].shape[1])
        return run(self, signature, inputs, *rest)

    monkeypatch.setattr(Servable, "run", spy)

    recommend(bundle, tmp_path / "out", k=1)

    assert widths == {0}


def test_batches_are_smaller_where_more_is_excluded() -> None:
    lengths = [3, 0, 40, 0, 20, 500]
    lists = [["x"] * length for length in lengths]
    questions = pa.table({"user": lengths, module.EXCLUDE: pa.array(lists)})

    batches = [batch["user"].to_pylist() for batch in module._batches(questions, k=10)]

    assert Counter(length for batch in batches for length in batch) == Counter(lengths)
    for batch in batches:
        wide = max(batch)
        assert len(batch) == 1 or len(batch) * wide * (wide + 10) <= module._BATCH_COMPARISONS
    assert batches[0] == [500, 40, 20, 3, 0, 0][: len(batches[0])]


def test_rejected_rows_are_counted_with_their_reason_and_kept(
    bundle: ServingBundle, tmp_path: Path
) -> None:
    rows = [f"c-{number},3" for number in range(298)]
    (tmp_path / "users.csv").write_text("\n".join(["shopper,age", *rows, "ann,old", ",4"]))

    table = recommend(bundle, tmp_path / "out", str(tmp_path / "users.csv"), k=1)

    assert (table.shoppers, table.rejected) == (298, {"missing user": 1, "age: not a number": 1})
    files = (table.path / "_rejects").glob("users-*.jsonl")
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert sorted(line["line"] for line in lines) == [300, 301]
    assert pa.parquet.read_table(table.path).num_rows == 298


def test_too_many_rejected_rows_leave_no_table(bundle: ServingBundle, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("shopper,age\nann,old\nbob,3\n")

    with pytest.raises(UserError, match=r"^users: 1 of 2 rows rejected, .* 1 x age: not a number"):
        recommend(bundle, tmp_path / "out", str(tmp_path / "users.csv"))

    assert not (tmp_path / "out").exists()


def test_summary_says_which_bundle_answered_and_when(bundle: ServingBundle, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    recommend(bundle, tmp_path / "out", k=3, moment=MOMENT)

    summary = json.loads((tmp_path / "out" / "_summary.json").read_text())
    assert (summary["version"], summary["k"], summary["rows"]) == ("toy/1", 3, 120)
    assert summary["moment"] == "2020-12-24T18:00:00+00:00"
    assert {file.name for file in tmp_path.iterdir()} == {"out"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"^users: '.*users.csv': no such file"),
        ("", r"^users: '.*users.csv': all files are empty"),
        ("shopper\n", r"^users: .*users.csv: no file holds rows"),
        ("2375\n2376\n", r"^users: .*users.csv: no column 'shopper', .*; it has 2375"),
    ],
)
def test_files_that_name_no_shopper_are_refused(
    bundle: ServingBundle, tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "users.csv").write_text(content)

    with pytest.raises(UserError, match=message):
        recommend(bundle, tmp_path / "out", str(tmp_path / "users.csv"))


def test_torn_file_leaves_no_table(bundle: ServingBundle, tmp_path: Path) -> None:
    content = b"shopper\n" + b"ann\n" * 99
    (tmp_path / "users.csv.gz").write_bytes(gzip.compress(content)[:-9])

    with pytest.raises(UserError, match=r"users.csv.gz: cannot be read"):
        recommend(bundle, tmp_path / "out", str(tmp_path))

    assert not (tmp_path / "out").exists()


def test_directory_in_use_is_left_alone(bundle: ServingBundle, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()

    with pytest.raises(UserError, match=r"^out: .*out: is there and not empty; name another"):
        recommend(bundle, tmp_path / "out")


@pytest.mark.parametrize("k", [0, 121])
def test_k_outside_the_catalogue_is_refused(bundle: ServingBundle, tmp_path: Path, k: int) -> None:
    with pytest.raises(UserError, match=rf"^k: {k} is not between 1 and 120; "):
        recommend(bundle, tmp_path / "out", k=k)


def test_bundle_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"export: not there yet; run `tfrec export CONFIG`"):
        recommend(ServingBundle(tmp_path / "export"), tmp_path / "out")


def test_model_that_takes_items_is_refused(prepared: PreparedData, tmp_path: Path) -> None:
    inputs = {"sku": tf.TensorSpec(ONE, tf.string, "sku")}
    bundle = write_toy_bundle(prepared, inputs, tmp_path / "bundle")

    with pytest.raises(UserError, match=r"its model takes items \(sku\), not shoppers; "):
        recommend(bundle, tmp_path / "out")
