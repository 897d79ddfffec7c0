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
from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import Profiles
from tfrec.data.queries import RELEVANT, SEEN
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME, WEIGHT
from tfrec.stages.artifact import Artifact
from tfrec.stages.prepare import prepare


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


def test_summary_counts_what_was_read_rejected_and_split(prepared: PreparedData) -> None:
    summary = Artifact(prepared.path).manifest.summary

    assert summary["events_read"] == 6000
    assert summary["rejected"] == {
        "events": {"missing user": 2, "item not in the catalogue": 3},
        "items": {},
    }
    assert sum(summary["events"].values()) == 5995
    assert summary["items"] == 120
    assert summary["items_seen_in_training"] == 118


def test_schema_of_the_raw_features_is_kept(prepared: PreparedData, spec: FeatureSpec) -> None:
    schema = text_format.Parse(prepared.schema.read_text(), schema_pb2.Schema())

    assert [column.name for column in schema.feature] == list(spec.root)


def test_unchanged_shop_is_not_prepared_again(
    prepared: PreparedData, data_config: DataConfig, shop: Shop
) -> None:
    before = (prepared.path / "manifest.json").stat().st_mtime_ns
    features = shop.config()["features"]
    features["sku"] |= {"embedding": 64, "unknown_share": 0.5}

    prepare(data_config, validate(FeatureSpec, features), prepared.path)

    assert (prepared.path / "manifest.json").stat().st_mtime_ns == before


def test_too_many_rejected_rows_fail_with_count_reasons_and_examples(
    refusal: Callable[..., str],
) -> None:
    message = refusal(max_reject_share=0.0005)

    assert message.startswith(
        "data.events: 5 of 6,000 rows rejected, more than data.max_reject_share 0.0005: "
    )
    assert "2 x missing user" in message
    assert "3 x item not in the catalogue" in message
    assert message.count('{"reason": ') == 3


def test_missing_column_is_told_before_anything_is_made(
    refusal: Callable[..., str], tmp_path: Path, shop: Shop
) -> None:
    events = {**shop.config()["data"]["events"], "user": "customer"}

    message = refusal(events=events)

    assert message.startswith("data.events.user: no column 'customer' in the data; it has shopper")
    assert list(tmp_path.iterdir()) == []


def test_windows_longer_than_the_log_are_refused(refusal: Callable[..., str]) -> None:
    message = refusal(split={"kind": "time", "validation": "30d", "test": "30d"})

    assert message.startswith("data.split: validation and test take all ")


def test_catalogue_without_one_good_row_is_refused_whatever_may_be_rejected(
    refusal: Callable[..., str], shop: Shop, write_parquet: Callable[..., str]
) -> None:
    nameless = write_parquet(sku=["", None], title=["A", "B"], size=["1", "2"], aisle=["x", "y"])
    items = {**shop.config()["data"]["items"], "source": nameless}

    message = refusal(items=items, max_reject_share=1)

    assert message == "data.items: no row of the catalogue is left; rejects/ says why"


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
    features = {
        name: {"role": role, "kind": "categorical", "embedding": 2} for name, role in roles.items()
    } | {"ids": {"role": "user", "kind": "sequence", "of": "id", "last": 2}}
    spec = validate(FeatureSpec, features)

    artifact = prepare(validate(DataConfig, data), spec, tmp_path / "prepare")

    prepared = PreparedData(artifact.path)
    assert artifact.manifest.summary["events"] == {"train": 6, "validation": 2, "test": 2}
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
