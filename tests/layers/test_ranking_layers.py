"""Layers of ranking models, each against a plain recomputation."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfrec.layers import (
    AddedLogit,
    EncoderBlock,
    FactorizationMachine,
    Fields,
    Joined,
    MultiGateExperts,
    ProgressiveExtraction,
    TargetAttention,
    mlp,
)
from tfrec.layers.progressive_extraction import SHARED

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> tf.Tensor:
    return tf.constant(RANDOM.normal(size=shape), tf.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def test_joined_features_stand_in_the_order_of_their_names() -> None:
    b, a = tf.constant([[1.0, 2.0]]), tf.constant([[3.0]])

    assert Joined()({"b": b, "a": a}).numpy().tolist() == [[3, 1, 2]]


def test_added_logit_keeps_the_first_float_as_it_is() -> None:
    head, inputs = AddedLogit(), normal(4, 3)
    found = head(inputs)
    kernel, bias = (weight.numpy() for weight in head.weights)

    np.testing.assert_allclose(found, inputs[:, :1] + inputs[:, 1:] @ kernel + bias, rtol=1e-5)


def test_factorisation_machine_equals_the_sum_over_pairs() -> None:
    fields = normal(5, 4, 3)

    found = FactorizationMachine()(fields)

    for row, value in zip(fields.numpy(), found, strict=True):
        pairs = sum(one[1:] @ other[1:] for one, other in itertools.combinations(row, 2))
        assert float(value[0]) == pytest.approx(row[:, 0].sum() + pairs, rel=1e-4)


def test_fields_are_rows_as_they_are_and_projected_numbers() -> None:
    layer = Fields(3, ["number", "vector"])
    embedded = {"row": normal(2, 3), "number": normal(2, 1), "vector": normal(2, 5)}

    fields = layer(embedded).numpy()

    assert fields.shape == (2, 3, 3)
    np.testing.assert_array_equal(fields[:, 1], embedded["row"])
    twice = layer({**embedded, "number": 2 * embedded["number"]}).numpy()
    np.testing.assert_allclose(twice[:, 0], 2 * fields[:, 0], rtol=1e-6)


def test_target_attention_weighs_each_value_by_its_target() -> None:
    lists = [[[1.0, -2.0], [0.5, 3.0], [0.0, 1.0]], [], [[2.0, 2.0]]]
    ragged = tf.ragged.constant(lists, tf.float32, ragged_rank=1, inner_shape=(2,))
    targets, layer = normal(3, 2), TargetAttention([4])
    pooled = layer(ragged, targets)
    first, bias, last, last_bias = (weight.numpy() for weight in layer.weights)

    for values, target, found in zip(lists, targets.numpy(), pooled, strict=True):
        expected = np.zeros(2)
        for x in map(np.array, values):
            pair = np.concatenate([x, target, x - target, x * target])
            expected += (np.maximum(pair @ first + bias, 0) @ last + last_bias) * x
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_encoder_block_does_not_see_padding_but_all_else() -> None:
    block, values = EncoderBlock(4, heads=2, dropout=0.0), normal(1, 3, 4).numpy()
    there = tf.constant([[True, True, False]])
    other_padding, other_last = values.copy(), values.copy()
    other_padding[0, 2] = 9
    other_last[0, 1] = 9

    before = block(tf.constant(values), there)

    np.testing.assert_allclose(block(tf.constant(other_padding), there)[:, :2], before[:, :2])
    assert np.abs(block(tf.constant(other_last), there)[0, 0] - before[0, 0]).max() > 1e-3


def test_each_task_mixes_the_same_experts_by_a_gate_of_its_own() -> None:
    layer, inputs = MultiGateExperts(["a", "b"], experts=3, hidden=[4]), normal(5, 2)
    found = layer(inputs)
    experts = np.stack([expert(inputs) for expert in layer._experts], 1)  # [batch, experts, units]

    for task, outputs in found.items():
        logits = inputs.numpy() @ layer._gates[task].kernel.numpy()
        for row in range(5):
            expected = softmax(logits[row]) @ experts[row]
            np.testing.assert_allclose(outputs[row], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(found["a"] - found["b"]).max() > 1e-3


def test_levels_of_experts_equal_a_plain_recomputation() -> None:
    layer, inputs = ProgressiveExtraction(["a", "b"], 2, experts=2, hidden=[3]), normal(4, 2)
    found = layer(inputs)

    values = dict.fromkeys(("a", "b", SHARED), inputs)
    for level in layer._levels:
        made = {
            owner: [expert(values[owner]) for expert in experts]
            for owner, experts in level._experts.items()
        }
        following = {}
        for owner, gate in level._gates.items():
            own = [*made["a"], *made["b"]] if owner == SHARED else made[owner]
            taken = np.stack([*own, *made[SHARED]], 1)
            logits = values[owner].numpy() @ gate.kernel.numpy()
            rows = [softmax(row) @ outputs for row, outputs in zip(logits, taken, strict=True)]
            following[owner] = tf.constant(np.stack(rows), tf.float32)
        values = following
    assert found.keys() == {"a", "b"}
    for task, outputs in found.items():
        np.testing.assert_allclose(outputs, values[task], rtol=1e-4, atol=1e-6)


def test_a_tasks_own_experts_move_by_its_own_loss_only() -> None:
    layer, inputs = ProgressiveExtraction(["a", "b"], 1, experts=1, hidden=[8]), normal(9, 4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(inputs)["a"])

    level = layer._levels[0]
    owners = {owner: experts[0].trainable_weights[0] for owner, experts in level._experts.items()}
    slopes = tape.gradient(loss, owners)

    assert slopes["b"] is None or not np.any(slopes["b"])
    assert np.any(slopes["a"])
    assert np.any(slopes[SHARED])


def test_a_network_without_an_output_ends_in_its_last_hidden_layer() -> None:
    network = mlp([4, 3])

    outputs = network(normal(50, 2)).numpy()

    assert outputs.shape == (50, 3)
    assert outputs.min() == 0
    assert outputs.max() > 0
