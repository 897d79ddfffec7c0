"""Starting from what an earlier run learned."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
import tf_keras

from tfrec.embeddings.groups import Group, group_tables
from tfrec.embeddings.optimizers.grouped import GroupedOptimizer
from tfrec.embeddings.optimizers.sparse import LAST_STEP, SparseOptimizer
from tfrec.embeddings.transfer import TABLE, NewRows, SavedGroups, transfer
from tfrec.errors import UserError
from tfrec.features.differences import differences
from tfrec.features.plan import Table
from tfrec.losses import StreamingFrequency
from tfrec.models.base import Template
from tfrec.training.checkpoints import latest, saved_steps
from tfrec.training.job import TrainingJob
from tfrec.training.step import TrainingStep
from tfrec.training.strategies import shards

_log = logging.getLogger(__name__)


def warm_start(job: TrainingJob, step: TrainingStep) -> None:
    """Takes over tables, weights and their optimisers' state from the run that the config names.

    A value of a vocabulary keeps what was learned for it, at whichever row it now stands. New
    values start as in a new model, and values that are gone are left behind. Steps count from 0.
    Called in the scope of the strategy.

    Args:
      job: the new run.
      step: its model and optimiser, with all their variables.

    Raises:
      UserError: if there is no such run, or it learned from other features or by another model.
    """
    directory = job.training.warm_start
    assert directory is not None
    try:
        old = TrainingJob.read(directory)
        _check_features(old, job)
        prefix = latest(old.checkpoints, best=old.training.early_stopping is not None)
        _restore_weights(old, job, step, prefix)
        _move_tables(old, job, step, prefix)
    except UserError as error:
        raise UserError(f"training.warm_start: {error}") from None


def _check_features(old: TrainingJob, new: TrainingJob) -> None:
    found = list(differences(old.features, new.features))
    if found:
        raise UserError(
            f"{old.output} learned from other features: {'; '.join(found)}; "
            "take those of that run, or leave warm_start out"
        )


def _restore_weights(old: TrainingJob, new: TrainingJob, step: TrainingStep, prefix: str) -> None:
    """Restores all but the tables, whose rows move, and what is the new run's own."""
    model = step.model
    embedding = _without(model.embedding, ["group_tables"])
    parts = {"model": _without(model, [*_facts(model), "embedding"], embedding=embedding)}
    dense, goes_on = _grouped(step.optimizer).dense, _same_state(old, new)
    if goes_on:
        # The slots only: its step and its learning rate are the new run's.
        slots = tf.train.TrackableView.children(dense)["_variables"]
        parts["optimizer"] = tf.train.Checkpoint(dense=tf.train.Checkpoint(_variables=slots))
    else:
        _log.warning("warm start: the optimiser's state of dense weights starts anew")
    try:
        status = tf.train.Checkpoint(**parts).restore(prefix)
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError) as error:
        raise UserError(
            f"{old.output} learned with the model {old.model.model_dump_json()}, which is another "
            f"one ({str(error).splitlines()[0]}); take that one, or leave warm_start out"
        ) from None
    if goes_on:
        _count_from_zero(dense, model, saved_steps(prefix))


def _same_state(old: TrainingJob, new: TrainingJob) -> bool:
    """Whether the dense weights' optimisers keep the same state."""
    before, now = old.training.optimizers.dense, new.training.optimizers.dense
    return (before.kind, bool(before.weight_decay)) == (now.kind, bool(now.weight_decay))


def _count_from_zero(dense: SparseOptimizer, model: Template, steps: int) -> None:
    tables = {
        id(shard) for table in model.embedding.group_tables.values() for shard in table.shards
    }
    for weight in model.trainable_variables:
        if id(weight) not in tables and LAST_STEP in dense.slots_of(weight):
            slot = dense.slots_of(weight)[LAST_STEP]
            slot.assign(slot - steps)


def _facts(model: Template) -> list[str]:
    """Names of a model's own parts that hold what the data are like, not what was learned."""
    return [
        name
        for name, child in tf.train.TrackableView.children(model).items()
        if isinstance(child, StreamingFrequency)
        or (not isinstance(child, tf.Module) and getattr(child, "trainable", True) is False)
    ]


def _without(
    node: tf.Module, names: Sequence[str], **others: tf.train.Checkpoint
) -> tf.train.Checkpoint:
    """What a checkpoint holds of an object, but for some of its parts, and with others."""
    children = tf.train.TrackableView.children(node)
    kept = {name: child for name, child in children.items() if name not in names}
    return tf.train.Checkpoint(**kept, **others)


def _grouped(optimizer: tf_keras.optimizers.Optimizer) -> GroupedOptimizer:
    return getattr(optimizer, "inner_optimizer", optimizer)


def _move_tables(old: TrainingJob, new: TrainingJob, step: TrainingStep, prefix: str) -> None:
    tables, embedding = new.tables, step.model.embedding
    old_tables = dict(tables)
    new_rows: dict[str, NewRows] = dict.fromkeys(tables, _unchanged)
    for name, file in new.fitted_vocabularies.items():
        if name not in tables:
            continue
        before = _read_vocabulary(old.vocabularies / name)
        new_rows[name] = _by_value(before, _read_vocabulary(file), tables[name])
        rows = len(before) + tables[name].unknown_rows
        old_tables[name] = dataclasses.replace(tables[name], rows=rows)
    old_groups = group_tables(old_tables, old.training.optimizers.of_table)
    for table in _with_fresh_slots(old_groups, embedding.groups):
        _log.warning("warm start: the optimiser's state of table %s starts anew", table)
    variables = {}
    for name, table in embedding.group_tables.items():
        slots = [_grouped(step.optimizer).tables[name].slots_of(shard) for shard in table.shards]
        variables[name] = {slot: [own[slot] for own in slots] for slot in slots[0]}
        variables[name][TABLE] = table.shards
    saved = SavedGroups(prefix, old_groups, lambda rows: _shards(old, rows))
    transfer(saved, embedding.groups, variables, new_rows, saved_steps(prefix))


def _with_fresh_slots(old: Sequence[Group], new: Sequence[Group]) -> Iterator[str]:
    """The tables whose rows another kind of optimiser goes on with."""
    before = {table: group.optimizer.kind for group in old for table in group.offsets}
    for group in new:
        yield from (table for table in group.offsets if before[table] != group.optimizer.kind)


def _shards(job: TrainingJob, rows: int) -> int:
    if job.training.strategy != "parameter_server":
        return 1
    return shards(tf.TensorShape([rows, 1]), job.training.parameter_servers)[0]


def _unchanged(rows: np.ndarray) -> np.ndarray:
    return rows


def _by_value(before: pa.Array, now: pa.Array, table: Table) -> NewRows:
    """Finds a value's row in another vocabulary; unknown rows stay behind the others."""
    known = pc.fill_null(pc.index_in(before, value_set=now), -1).to_numpy().astype(np.int64)
    unknown = len(now) + np.arange(table.unknown_rows)
    return np.concatenate([known, unknown]).take


def _read_vocabulary(file: Path) -> pa.Array:
    """Reads the lines of a file, each with its end, without an object for each."""
    try:
        text = np.fromfile(file, np.uint8)
    except OSError:
        raise UserError(f"{file}: not there; name the directory of a training run") from None
    ends = np.flatnonzero(text == ord("\n")) + 1
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends), buffers)
