"""What a student gains from a teacher whose labels were as noisy as its own, but more."""

import numpy as np
import tensorflow as tf
from toy_ranker import Batch, fit, make_batch, make_ranker

from tfrec.features.parsing import LABEL, taught
from tfrec.models import DNN, RankingTemplate
from tfrec.training.config import Teacher

NOISE = 0.3


def noisy(size: int, seed: int) -> Batch:
    """Labels of which almost a third are wrong."""
    batch, random = make_batch(size, seed), np.random.default_rng(seed)
    wrong = tf.constant(random.random(size) < NOISE)
    return {**batch, LABEL: tf.where(wrong, 1 - batch[LABEL], batch[LABEL])}


def held_out_loss(model: RankingTemplate) -> float:
    """Cross-entropy against what is right with the chance that it is so."""
    batch = make_batch(2000, seed=9)
    right = tf.where(batch[LABEL] == 1, 1 - NOISE, NOISE)
    outputs = model.head_outputs(batch)["taken"]
    return float(tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(right, outputs)))


def test_small_student_is_better_with_a_teacher_than_without() -> None:
    teacher = make_ranker(DNN, hidden=(32,))
    fit(teacher, noisy(4000, seed=1), steps=120)
    few = noisy(150, seed=2)
    few[taught("taken")] = teacher.rank(few)["taken"]

    alone, student = make_ranker(DNN, hidden=(8,)), make_ranker(DNN, hidden=(8,))
    student.teacher = Teacher(model="teacher", weight=0.9, temperature=2.0)
    fit(alone, few, steps=120)
    fit(student, few, steps=120)

    least = -(NOISE * np.log(NOISE) + (1 - NOISE) * np.log(1 - NOISE))
    lost, taught_lost, alone_lost = (
        held_out_loss(model) - least for model in (teacher, student, alone)
    )
    assert taught_lost < 1.5 * lost < 0.2 * alone_lost


def test_loss_is_shared_between_labels_and_teacher_in_training_alone() -> None:
    model, batch = make_ranker(DNN), make_batch(50)
    batch[taught("taken")] = tf.random.stateless_uniform([50], [1, 2])
    alone = model.example_losses(batch, training=True).numpy()

    model.teacher = Teacher(model="teacher", weight=1.0)
    against = model.example_losses(batch, training=True).numpy()
    model.teacher = Teacher(model="teacher", weight=0.25)
    both = model.example_losses(batch, training=True).numpy()

    np.testing.assert_allclose(both, 0.75 * alone + 0.25 * against, rtol=1e-5)
    given, wanted = model.rank(batch)["taken"].numpy(), batch[taught("taken")].numpy()
    expected = -(wanted * np.log(given) + (1 - wanted) * np.log(1 - given))
    np.testing.assert_allclose(against, expected, rtol=1e-4)
    np.testing.assert_allclose(model.example_losses(batch).numpy(), alone, rtol=1e-6)
    del batch[taught("taken")]
    np.testing.assert_allclose(model.example_losses(batch).numpy(), alone, rtol=1e-6)


def test_number_is_learned_of_a_teacher_by_squared_error() -> None:
    model, batch = make_ranker(DNN, label="stars"), make_batch(20)
    batch[taught("stars")] = tf.random.stateless_uniform([20], [1, 2], 1, 5)
    model.teacher = Teacher(model="teacher", weight=0.5)

    losses = model.example_losses(batch, training=True).numpy()

    stars = model.rank(batch)["stars"].numpy()
    expected = 0.5 * (batch["stars"] - stars) ** 2 + 0.5 * (batch[taught("stars")] - stars) ** 2
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
