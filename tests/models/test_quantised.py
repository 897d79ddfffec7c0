from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from retrieval_toys import HISTORY, batch_of, inputs_of, make
from toy_model import make_batch as make_pairs
from toy_model import make_model
from toy_ranker import make_batch, make_ranker

from tfrec.embeddings.quantised import quantise
from tfrec.models import HSTU, DCNv2, SASRec, WideAndDeep
from tfrec.models.quantised import quantise_model

CROSSES = {"crosses": [("shopper", "sku")], "cross_rows": 50}
RANKERS = {"dcn": (DCNv2, {}), "wide_and_deep": (WideAndDeep, CROSSES)}
SHOPPERS = batch_of(np.zeros(3, np.int64), np.arange(3), [[1, 2, 3], [4], []])


def of_sequence(template: type) -> tuple[Any, Callable]:
    model = make(template, inputs_of(HISTORY))
    return model, lambda: {"query": model.embed_query(SHOPPERS), "item": model.embed_item(SHOPPERS)}


def of_towers() -> tuple[Any, Callable]:
    model, pairs = make_model(), make_pairs(16)
    return model, lambda: {"query": model.embed_query(pairs), "item": model.embed_item(pairs)}


def of_ranker(kind: str) -> tuple[Any, Callable]:
    template, settings = RANKERS[kind]
    model, batch = make_ranker(template, **settings), make_batch(16)
    return model, lambda: model.rank(batch)


MODELS: dict[str, Callable[[], tuple[Any, Callable]]] = {
    "two_tower": of_towers,
    "sasrec": lambda: of_sequence(SASRec),
    "hstu": lambda: of_sequence(HSTU),
    **{kind: lambda kind=kind: of_ranker(kind) for kind in RANKERS},
}


def trained(kind: str) -> tuple[Any, Callable]:
    """A model with weights as training leaves them, and what answers by it."""
    model, answer = MODELS[kind]()
    random = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, 0.3, weight.shape))
    return model, answer


def rounded(weights: np.ndarray, precision: str, axis: int) -> np.ndarray:
    """What rounding leaves of weights, in float32."""
    values, scales = quantise(weights, precision, axis)
    if scales is None:
        return values.astype(np.float32)
    shape = [-1 if place == axis % weights.ndim else 1 for place in range(weights.ndim)]
    return values.astype(np.float32) * scales.reshape(shape)


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        ("two_tower", "float16"),
        ("two_tower", "int8"),
        ("sasrec", "int8"),
        ("hstu", "float16"),
        ("dcn", "int8"),
        ("wide_and_deep", "int8"),
    ],
)
def test_answers_are_those_of_the_same_model_with_rounded_weights(kind, precision):
    expected_of, expected = trained(kind)
    model, answer = trained(kind)
    before = {name: values.numpy() for name, values in answer().items()}

    quantise_model(model, precision)

    count = 0
    for weight in expected_of.trainable_weights:
        axis = 0 if weight.name.endswith("/table:0") else -1 if "kernel" in weight.name else None
        if axis is not None:
            weight.assign(rounded(weight.numpy(), precision, axis))
            count += weight.shape.num_elements()
    for name, values in expected().items():
        np.testing.assert_allclose(answer()[name], values, rtol=1e-4, atol=1e-5)
        assert np.abs(before[name] - values).max() > 1e-6  # rounding does change them
    kept = [weight for weight in model.weights if weight.dtype == tf.as_dtype(precision)]
    assert sum(weight.shape.num_elements() for weight in kept) == count
    names = {weight.name for weight in model.weights if weight.dtype == tf.float32}
    assert not [name for name in names if name.endswith("/table:0")]


def test_layers_that_share_a_kernel_go_on_sharing_it():
    model = make_model()
    first, second = (tower.layers[0] for tower in (model._query_tower, model._item_tower))
    second.kernel = first.kernel

    quantise_model(model, "int8")

    assert first.kernel is second.kernel
