import numpy as np
import pytest
import tensorflow as tf
from rounded_by_hand import by_hand, weights

from tfrec.embeddings.quantised_table import QuantisedTable
from tfrec.embeddings.table import GroupTable


def make_table(rows: np.ndarray) -> GroupTable:
    table = GroupTable(*rows.shape, name="items")
    table.build(None)
    table.shards[0].assign(rows)
    return table


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_rows_of_a_table_are_those_recomputed_in_numpy(precision):
    rows, places = weights(30, 4), [7, 1, 29, 0]

    fetched = QuantisedTable(make_table(rows), precision)(tf.constant(places, tf.int64)).numpy()

    if precision == "float16":
        expected = rows[places].astype(np.float16).astype(np.float32)
    else:
        parts = [by_hand(rows[place]) for place in places]
        expected = np.array([np.float32(scale) * np.array(steps) for steps, scale in parts])
    np.testing.assert_allclose(fetched, expected, rtol=1e-6)


def test_a_table_is_taken_in_pieces(monkeypatch):
    rows = weights(30, 4)
    whole = QuantisedTable(make_table(rows), "int8")
    monkeypatch.setattr("tfrec.embeddings.quantised_table._ROWS_TOGETHER", 7)

    pieces = QuantisedTable(make_table(rows), "int8")

    for one, other in zip(whole.weights, pieces.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_only_the_rows_that_are_asked_for_are_converted():
    table = QuantisedTable(make_table(weights(1000, 4)), "int8")
    fetch = tf.function(table.call, input_signature=[tf.TensorSpec([None], tf.int64)])

    graph = fetch.get_concrete_function().graph

    casts = [op for op in graph.get_operations() if op.type == "Cast"]
    assert [op.inputs[0].op.type for op in casts] == ["ResourceGather"]
    assert "ReadVariableOp" not in {op.type for op in graph.get_operations()}


@pytest.mark.parametrize(("precision", "bytes_each"), [("float16", 2), ("int8", 1)])
def test_a_table_takes_a_half_or_a_quarter_of_the_memory(precision, bytes_each):
    table = QuantisedTable(make_table(weights(100, 64)), precision)

    sizes = {weight.dtype.name: weight.dtype.size * weight.shape.num_elements()
             for weight in table.weights}  # fmt: skip

    assert sizes.pop(precision) == 100 * 64 * bytes_each
    assert sizes == ({"float32": 400} if precision == "int8" else {})
