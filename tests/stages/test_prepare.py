from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from shop import Shop
from tensorflow_metadata.proto.v0 import schema_pb2

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.events import USER
from tfrec.data.input_pipeline import read_examples
from tfrec.data.prepared import TEST, TRAIN, VALIDATION, PreparedData
from tfrec.data.profiles import Profiles
from tfrec.data.queries import RELEVANT, SEEN
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME, WEIGHT
from tfrec.stages.artifact import Artifact
from tfrec.stages.prepare import prepare
from tfrec.stages.reporter import Reporter


class Steps(Reporter):
    """Hears which steps were taken, and stops a stage at its first."""

    def step(self, text: str) -> None:
        raise InterruptedError(text)


@pytest.fixture
def refusal(shop: Shop, tmp_path: Path) -> Callable[..., str]:
    """Prepares a shop with a changed `data` section, which must fail; returns the message."""

    def run(**data: Any) -> str:
        config = shop.config(data=data)
        with pytest.raises(UserError) as caught:
            prepare(
                validate(DataConfig, config["data"], "data"),
                validate(FeatureSpec, config["features"], "features"),
                tmp_path / "prepare",
            )
        assert not (tmp_path / "prepare").exists()
        return str(caught.value)

    return run


@pytest.fixture
def is_made_again(
    prepared: PreparedData, data_config: DataConfig, shop: Shop, tmp_path: Path
) -> Callable[..., bool]:
    """Whether the shop would be prepared again after a change of its config."""

    def run(data: dict[str, Any] | None = None, **features: dict[str, Any]) -> bool:
        content = shop.config()["features"]
        for name, changes in features.items():
            content[name] |= changes
        config = validate(DataConfig, {**data_config.model_dump(), **(data or {})})
        copy = tmp_path / "prepare"
        copy.symlink_to(prepared.path)
        try:
            prepare(config, validate(FeatureSpec, content), copy, Steps())
        except InterruptedError:
            return True
        return False

    return run


def test_summary_counts_what_was_read_rejected_dropped_and_split(
    prepared: PreparedData, shop: Shop
) -> None:
    summary = Artifact(prepared.path).manifest.summary

    assert summary["read"] == {"items": 120, "events": 6000}
    assert summary["rejected"] == {
        "events": {"missing user": 2, "item not in the catalogue": 3},
        "items": {},
    }
    assert summary["dropped"] == {"items": {}, "events": {"duplicate": 12}}
    assert sum(summary["examples"].values()) == 6000 - 5 - 12
    assert summary["examples"] == {name: p.examples for name, p in prepared.parts.items()}
    assert summary["items"] == 120
    assert summary["items_seen_in_training"] == 118
    assert (summary["user"], summary["item"]) == ("shopper", "sku")


def test_schema_of_the_raw_features_is_kept(prepared: PreparedData, spec: FeatureSpec) -> None:
    schema = text_format.Parse(prepared.schema.read_text(), schema_pb2.Schema())

    assert [column.name for column in schema.feature] == list(spec.root)


def test_unchanged_shop_is_not_prepared_again(is_made_again: Callable[..., bool]) -> None:
    assert not is_made_again()


def test_engine_and_what_only_the_model_knows_do_not_make_it_again(
    is_made_again: Callable[..., bool],
) -> None:
    assert not is_made_again(
        data={"beam": {"direct_num_workers": 2}}, sku={"embedding": 64, "unknown_share": 0.5}
    )


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"seed": 1}},
        {"data": {"session_gap": "10m"}},
        {"sku": {"min_count": 2}},
        {"recent": {"last": 6}},
    ],
)
def test_change_of_what_decides_the_data_makes_it_again(
    is_made_again: Callable[..., bool], change: dict[str, Any]
) -> None:
    assert is_made_again(**change)


def test_changed_file_makes_it_again(
    shop: Shop, data_config: DataConfig, spec: FeatureSpec, tmp_path: Path
) -> None:
    items = tmp_path / "items.csv"
    items.write_text("sku,title,size,aisle\nsku-000,x,1,a\n")
    changed = data_config.items.model_copy(update={"source": str(items)})
    config = data_config.model_copy(update={"items": changed, "max_reject_share": 0})
    messages = []

    for line in ("", "sku-001,x,1,a\n"):
        items.write_text(items.read_text() + line)
        with pytest.raises(UserError) as caught:
            prepare(config, spec, tmp_path / "prepare")
        messages.append(str(caught.value))

    assert messages[0] != messages[1]
    assert len(list(tmp_path.glob(".prepare-*"))) == 1


def test_too_many_rejected_rows_fail_with_count_reasons_and_examples(
    refusal: Callable[..., str], tmp_path: Path
) -> None:
    message = refusal(max_reject_share=0.0005)

    assert message.startswith(
        "data.events: 5 of 6,000 rows rejected, more than data.max_reject_share 0.0005: "
    )
    assert "2 x missing user" in message
    assert "3 x item not in the catalogue" in message
    assert message.count('"reason": ') == 3
    (folder,) = tmp_path.glob(".prepare-*/rejects")
    assert message.endswith(f"all are in {folder}")
    assert sum(len(file.read_text().splitlines()) for file in folder.glob("events-*")) == 5


def test_missing_column_is_told_before_anything_is_made(
    refusal: Callable[..., str], tmp_path: Path, shop: Shop
) -> None:
    events = {**shop.config()["data"]["events"], "user": "customer"}

    message = refusal(events=events)

    assert message.startswith("data.events.user: no column 'customer' in the data; it has shopper")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [0, 1])
def test_log_of_several_is_named_by_its_number(
    refusal: Callable[..., str], shop: Shop, number: int
) -> None:
    logs = [shop.config()["data"]["events"] for _ in range(2)]
    logs[number]["source"] = "no/such.csv"

    message = refusal(events=logs)

    assert message.startswith(f"data.events.{number}.source: 'no/such.csv': no such file")


def test_source_of_a_part_is_named(refusal: Callable[..., str], shop: Shop) -> None:
    split = {"kind": "files", "validation": str(shop.events), "test": "no/such.csv"}

    assert refusal(split=split).startswith("data.split.test: 'no/such.csv': no such file")


def test_windows_longer_than_the_log_are_refused(refusal: Callable[..., str]) -> None:
    message = refusal(split={"kind": "time", "validation": "30d", "test": "30d"})

    assert message.startswith("data.split: validation and test take all ")


def test_log_that_leaves_nothing_to_train_on_is_refused(refusal: Callable[..., str]) -> None:
    message = refusal(split={"kind": "users", "validation": 0.499, "test": 0.5})

    assert message.startswith("data.split: no event is left to train on; ")


def test_cleaning_that_leaves_no_event_is_refused(refusal: Callable[..., str]) -> None:
    message = refusal(clean={"min_user_events": 10_000})

    assert message == "data.events: no event is left; rejects/ and data.clean say why"


def test_columns_may_be_called_what_the_framework_calls_its_own(
    write_parquet: Callable[..., str], tmp_path: Path
) -> None:
    days = range(10)
    events = write_parquet(
        user=["u"] * 10, id=["a", "b"] * 5, time=[day * 86_400 for day in days],
        repeat=["r"] * 10, seen=[f"seen {day}" for day in days], relevant=["v"] * 10,
    )  # fmt: skip
    items = write_parquet(
        id=["b", "a"], name=["bread", "apple"], item_row=["x", "y"], weight=["1", "2"]
    )
    data = {
        "events": {"source": events, "user": "user", "item": "id", "time": "time"},
        "items": {"source": items, "id": "id", "name": ["name"]},
        "split": {"kind": "time", "validation": "2d", "test": "2d"},
        "shards": 1,
    }
    roles = {
        "user": "user", "repeat": "user", "seen": "context", "relevant": "context",
        "time": "context", "id": "item", "name": "item", "item_row": "item", "weight": "item",
    }  # fmt: skip
    category = {"kind": "categorical", "embedding": 2, "lookup": "hash", "rows": 9}
    features = {name: {"role": role, **category} for name, role in roles.items()} | {
        "ids": {"role": "user", "kind": "sequence", "of": "id", "last": 2}
    }
    spec = validate(FeatureSpec, features)

    artifact = prepare(validate(DataConfig, data), spec, tmp_path / "prepare")

    prepared = PreparedData(artifact.path)
    assert artifact.manifest.summary["examples"] == {TRAIN: 6, VALIDATION: 2, TEST: 2}
    assert Catalogue(prepared.catalogue).table.select(["name", "item_row"]).to_pylist() == [
        {"name": "apple", "item_row": "y"}, {"name": "bread", "item_row": "x"}
    ]  # fmt: skip
    (query,) = QuerySet.read(prepared.queries("test")).table.to_pylist()
    assert query == {
        USER: "u", "user": "u", "repeat": "r", "seen": "seen 8", "relevant": "v",
        "time": str(8 * 86_400), "ids": ["a", "b"], RELEVANT: [0, 1], SEEN: [0, 1] * 4,
    }  # fmt: skip
    (batch,) = read_examples(prepared.examples("train"), spec, batch_size=6)
    assert sorted(batch) == sorted([*features, ITEM_ROW, TIME, REPEAT, WEIGHT])
    assert sorted(batch[TIME].numpy()) == [day * 86_400 for day in range(6)]
    assert sorted(batch[REPEAT].numpy()) == [0, 0, 1, 1, 1, 1]
    assert Profiles(prepared.profiles).find("u")["ids"] == ["a", "b"]
