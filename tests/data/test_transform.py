from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.columns import Columns
from tfrec.data.config import DataConfig
from tfrec.data.prepared import PreparedData
from tfrec.data.splits import ByTime
from tfrec.data.transform import fit_transform
from tfrec.features import FeatureSpec
from tfrec.features.signature import sparse_inputs

EVENTS = {
    "first": [
        ("u", 10, 0, "buy", "web"), ("u", 11, 1, "buy", "web"), ("u", 12, 1, "buy", None),
        ("u", 13, 2, "shown", "lamp"), ("u", 100, 3, "buy", "web"),
    ],
    "second": [
        ("v", 99, 1, "buy", "app"), ("v", 150, 3, "buy", "kiosk"), ("w", 100, 2, "buy", "kiosk")
    ],
}  # fmt: skip
"""File -> events: shopper, time, item row, type, channel; training ends before 100."""

PAID = {"first": [1.0, 2.0, None, 500.0, 900.0], "second": [6.0, 900.0, 900.0]}
CATEGORY = {"kind": "categorical", "embedding": 2}


@pytest.fixture
def transform(
    output: PreparedData,
    write_catalogue: Callable[..., Catalogue],
    write_events: Callable[..., Path],
    make_config: Callable[..., DataConfig],
) -> tft.TFTransformOutput:
    write_catalogue(
        ["a", "b", "c", "d"],
        aisle=["dairy", None, "bread", "fruit"],
        tags=[["x", "y"], ["y"], ["z"], ["z"]],
    )
    for name, events in EVENTS.items():
        write_events(events, name, paid=pa.array(PAID[name], pa.float32()))
    content = {
        "shopper": {**CATEGORY, "role": "user"},
        "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 2},
        "events_before": {"role": "user", "kind": "numeric"},
        "sku": {**CATEGORY, "role": "item", "lookup": "hash", "rows": 9},
        "tags": {"role": "item", "kind": "multi_categorical", "embedding": 2},
        "channel": {**CATEGORY, "role": "context", "min_count": 2},
        "paid": {"role": "context", "kind": "numeric"},
    }
    columns = Columns(
        {
            "shopper": "user", "sku": "item", "tags": "catalogue", "channel": "event",
            "paid": "event", "events_before": "behaviour",
        }
    )  # fmt: skip
    config = make_config({"weights": {"buy": 1, "shown": 0}})
    spec = validate(FeatureSpec, content)
    fit_transform(config, spec, columns, ByTime(100, 120), output)
    return tft.TFTransformOutput(str(output.transform))


def test_everything_is_fitted_on_training_examples_only(transform: tft.TFTransformOutput) -> None:
    def vocabulary(name: str) -> list[bytes]:
        return sorted(transform.vocabulary_by_name(name))

    assert vocabulary("shopper") == [b"u", b"v"]
    assert vocabulary("tags") == [b"x", b"y"]
    assert vocabulary("channel") == [b"web"]
    numbers = {name: tf.constant([0.0, 1.0, 3.0]) for name in ("paid", "events_before")}
    scaled = transform.transform_features_layer()(sparse_inputs(numbers))
    for name, values in {"paid": [1, 2, 6], "events_before": [0, 1, 2, 0]}.items():
        mean = sum(values) / len(values)
        deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
        expected = [(value - mean) / deviation for value in (0, 1, 3)]
        assert scaled[name].numpy().tolist() == pytest.approx(expected, rel=1e-5)
