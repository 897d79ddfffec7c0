from collections.abc import Callable

import pytest
import tensorflow as tf
import tensorflow_transform as tft

from tfrec.data.prepared import PreparedData
from tfrec.features import FeatureSpec
from tfrec.features.signature import sparse_inputs
from tfrec.features.transform import table_rows

Rows = Callable[..., dict[str, tf.Tensor | tf.SparseTensor]]


@pytest.fixture(scope="module")
def transform(prepared: PreparedData) -> tft.TFTransformOutput:
    return tft.TFTransformOutput(str(prepared.transform))


@pytest.fixture(scope="module")
def look_up(transform: tft.TFTransformOutput) -> Rows:
    """Runs raw strings, as a client sends them, through the fitted graph."""
    layer = transform.transform_features_layer()

    def run(**raw: list) -> dict[str, tf.Tensor | tf.SparseTensor]:
        return layer(sparse_inputs({name: tf.constant(values) for name, values in raw.items()}))

    return run


def test_every_value_of_the_vocabulary_has_a_row_of_its_own(
    transform: tft.TFTransformOutput, look_up: Rows
) -> None:
    words = transform.vocabulary_by_name("sku")

    rows = look_up(sku=words)["sku"]

    assert rows.dtype == tf.int64
    assert rows.numpy().tolist() == list(range(len(words)))


def test_value_outside_the_vocabulary_takes_the_row_behind_it(
    transform: tft.TFTransformOutput, look_up: Rows
) -> None:
    behind = transform.vocabulary_size_by_name("sku")

    never_sold, never_seen = look_up(sku=["sku-119", "no such thing"])["sku"].numpy()

    assert never_sold == never_seen == behind


def test_missing_value_takes_the_row_behind_the_vocabulary(
    transform: tft.TFTransformOutput, look_up: Rows
) -> None:
    rows = look_up(channel=["", "web"])["channel"].numpy()

    assert rows[0] == transform.vocabulary_size_by_name("channel") == 2
    assert rows[1] < 2


def test_sequence_shares_the_vocabulary_of_its_feature(look_up: Rows) -> None:
    skus = ["sku-003", "sku-000", "nothing"]

    rows = look_up(sku=skus, recent=[[*skus, "sku-003"]] + [[""] * 4] * 2)

    first, *empty = tf.RaggedTensor.from_sparse(rows["recent"]).to_list()
    sku = rows["sku"].numpy().tolist()
    assert first == [*sku, sku[0]]
    assert empty == [[], []]


def test_table_has_a_row_for_each_value_and_one_for_the_rest(
    spec: FeatureSpec, transform: tft.TFTransformOutput
) -> None:
    rows = table_rows(spec, transform)

    assert rows == {"shopper": 41, "sku": 119, "aisle": 7, "channel": 3, "weekday": 8}
