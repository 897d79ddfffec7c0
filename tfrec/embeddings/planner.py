"""Where embedding tables will lie, what they and a step will take, and whether that fits."""

import bisect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from tfrec.config import Section
from tfrec.embeddings.demand import Demand
from tfrec.embeddings.groups import Group, group_tables
from tfrec.embeddings.optimizers.config import OptimizerSettings, RowwiseAdagradSettings
from tfrec.errors import UserError
from tfrec.features.plan import Table
from tfrec.features.spec import EvictByAge

PROCESS_BYTES = 580_000_000
"""What a server takes that holds nothing: resident memory of one that a chief has connected to,
measured with TensorFlow 2.16 on Linux."""

CHECKPOINT_COPIES = 2
"""How often a process holds its tables while a checkpoint is written or restored.

A server copies its tables before it writes them, and reads all before it assigns any. Measured on
variables of 0.5 to 2.6 GB.
"""

_FLOAT_BYTES = 4
_ROW_NUMBER_BYTES = 8
_KEY_AND_SKETCH_BYTES = 8 + 24
_AGE_BYTES, _USE_BYTES = 8, 4
_FIND_BYTES = 2 * (8 + 8 * 8)
"""On the wire, to find a row that was given out: two numbers of buckets, and the buckets."""
_MOST_SERVERS = 10_000

OptimizerOf = Callable[[str], OptimizerSettings]


@dataclass(frozen=True)
class Layout:
    """The processes that hold tables.

    Attributes:
      task: what each of them is called, before its number.
      processes: how many there are.
      cut: gives the parts of a variable along each axis by its shape and the number of processes;
        None where every process holds all tables whole.
      copies: of every table in a process, one for each device.
      memory_bytes: what they may take.
      shared: whether that is for all of them together.
    """

    task: str
    processes: int
    cut: Callable[[tf.TensorShape, int], Sequence[int]] | None
    memory_bytes: int
    shared: bool
    copies: int = 1

    @property
    def limit_bytes(self) -> int:
        """What each of them may take."""
        return self.memory_bytes // self.processes if self.shared else self.memory_bytes


@dataclass(frozen=True)
class Batch:
    """What a process that computes gradients works off in a step.

    Attributes:
      examples: how many.
      parts: that it is cut into, each with a lookup of its own; their gradients go out together.
    """

    examples: int
    parts: int = 1


class Shard(Section):
    """Rows of a group that follow each other, and the number of the process that holds them."""

    process: int
    rows: int


class GroupPlan(Section):
    """What becomes of a group of tables.

    Attributes:
      name: of the group.
      tables: names of its tables.
      rows: all of them.
      dim: floats per row.
      table_bytes: of the rows, all shards together, each copy once.
      slot_bytes: of the optimiser's state, likewise.
      vocabulary_bytes: of what finds rows that are given out in training, likewise.
      shards: where the rows lie, first ones first.
      rows_per_step: different rows that a batch is expected to ask for.
      wire_bytes: expected to go to and from each process in a step: row numbers, rows, gradients.
      assumed: tables of which nobody counted how often their rows are asked for.
    """

    name: str
    tables: tuple[str, ...]
    rows: int
    dim: int
    table_bytes: int
    slot_bytes: int
    vocabulary_bytes: int
    shards: tuple[Shard, ...]
    rows_per_step: float
    wire_bytes: tuple[float, ...]
    assumed: tuple[str, ...]

    @property
    def skew(self) -> float:
        """What goes to and from the busiest process, by the mean over all."""
        return _skew(self.wire_bytes)


class Plan(Section):
    """What training will take.

    Attributes:
      task: what a process is called that holds tables, before its number.
      groups: the groups of tables.
      held_bytes: what each process takes.
      peak_bytes: what it takes while a checkpoint is written or restored.
      limit_bytes: what each of them may take.
      whole_bytes: what a process takes that restores all tables whole, to save the model.
      problem: why it does not fit, and what would, in one line; None if it does.
    """

    task: str
    groups: tuple[GroupPlan, ...]
    held_bytes: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    limit_bytes: int
    whole_bytes: int
    problem: str | None

    @property
    def wire_bytes(self) -> tuple[float, ...]:
        """Expected to go to and from each process in a step."""
        return tuple(np.sum([group.wire_bytes for group in self.groups], axis=0).tolist())

    @property
    def skew(self) -> float:
        """What goes to and from the busiest process, by the mean over all."""
        return _skew(self.wire_bytes)


def plan_tables(
    tables: Mapping[str, Table],
    optimizer_of: OptimizerOf,
    layout: Layout,
    demands: Mapping[str, Demand],
    batch: Batch,
    fixed: Collection[str] = (),
) -> Plan:
    """Plans tables before any is made.

    TensorFlow deals variables out to the servers in turn, and so does the plan. Dense weights take
    their turns too, so a table too small to be cut may come to lie on another server.

    Args:
      tables: name -> table.
      optimizer_of: gives the optimiser of a table by its name.
      layout: the processes that hold them.
      demands: name of a table -> how often its rows are asked for.
      batch: what a step works off.
      fixed: names of tables that have the width and optimiser that they have, whatever the config.

    Returns:
      The plan; its `problem` says whether it fits.

    Raises:
      UserError: if a table has no rows.
    """
    for name, table in tables.items():
        if table.rows < 1:
            raise UserError(f"features.{name}: its table has {table.rows} rows; give at least 1")
    groups = group_tables(tables, optimizer_of)
    placed = _place(groups, layout)
    held = _held(groups, tables, layout)
    return Plan(
        task=layout.task,
        groups=tuple(
            _plan_group(group, tables, shards, layout, demands, batch)
            for group, shards in zip(groups, placed, strict=True)
        ),
        held_bytes=tuple(PROCESS_BYTES + own for own in held),
        peak_bytes=tuple(_peak(own) for own in held),
        limit_bytes=layout.limit_bytes,
        whole_bytes=_peak(sum(_FLOAT_BYTES * table.rows * table.dim for table in tables.values())),
        problem=_problem(tables, optimizer_of, layout, fixed),
    )


def _place(groups: Sequence[Group], layout: Layout) -> list[tuple[Shard, ...]]:
    if layout.cut is None:
        everywhere = range(layout.processes)
        return [
            tuple(Shard(process=process, rows=group.rows) for process in everywhere)
            for group in groups
        ]
    placed, made = [], 0
    for group in groups:
        parts = layout.cut(tf.TensorShape([group.rows, group.dim]), layout.processes)[0]
        least, over = divmod(group.rows, parts)
        rows = [least + (part < over) for part in range(parts)]
        shards = (
            Shard(process=turn % layout.processes, rows=own) for turn, own in enumerate(rows, made)
        )
        placed.append(tuple(shards))
        made += parts
    return placed


def _held(groups: Sequence[Group], tables: Mapping[str, Table], layout: Layout) -> list[int]:
    """Bytes of tables and all that belongs to them, by process."""
    held = [0] * layout.processes
    for group, shards in zip(groups, _place(groups, layout), strict=True):
        row_bytes = _FLOAT_BYTES * (group.dim + group.optimizer.slot_floats(group.dim))
        vocabularies = _vocabulary_bytes(group, tables)
        for shard in shards:
            own = shard.rows * row_bytes + vocabularies * shard.rows // group.rows
            held[shard.process] += layout.copies * own
    return held


def _peak(held_bytes: int) -> int:
    return PROCESS_BYTES + CHECKPOINT_COPIES * held_bytes


def _vocabulary_bytes(group: Group, tables: Mapping[str, Table]) -> int:
    """Bytes of the variables of `DynamicVocabulary`, of all tables of a group that have one."""
    total = 0
    for name in group.offsets:
        table = tables[name]
        if table.dynamic is not None:
            evict = table.dynamic.evict
            eviction = _AGE_BYTES if isinstance(evict, EvictByAge) else _USE_BYTES if evict else 0
            total += (table.rows - table.unknown_rows) * (_KEY_AND_SKETCH_BYTES + eviction)
    return total


def _plan_group(
    group: Group,
    tables: Mapping[str, Table],
    shards: tuple[Shard, ...],
    layout: Layout,
    demands: Mapping[str, Demand],
    batch: Batch,
) -> GroupPlan:
    moved = np.zeros(len(shards))  # bytes per step to and from each shard
    rows_per_step = 0.0
    vector_bytes = _ROW_NUMBER_BYTES + _FLOAT_BYTES * group.dim
    for name in group.offsets:
        demand = demands[name]
        fetched = batch.parts * demand.distinct(batch.examples / batch.parts)
        trained = demand.distinct(batch.examples)
        rows_per_step += float(trained.sum())
        find_bytes = 2 * _FIND_BYTES if tables[name].dynamic else 0  # its row, and to count it
        sent = vector_bytes * (fetched + trained) + find_bytes * fetched
        if layout.cut is None:
            # Each replica sends its gradients to all others.
            moved += (layout.processes - 1) * vector_bytes * trained.sum()
        else:
            ends = np.cumsum([shard.rows for shard in shards])
            owner = np.searchsorted(ends, group.place(name, demand.rows), side="right")
            moved += np.bincount(owner, sent, len(shards))
    processes = [shard.process for shard in shards]
    return GroupPlan(
        name=group.name,
        tables=tuple(group.offsets),
        rows=group.rows,
        dim=group.dim,
        table_bytes=_FLOAT_BYTES * group.rows * group.dim,
        slot_bytes=_FLOAT_BYTES * group.rows * group.optimizer.slot_floats(group.dim),
        vocabulary_bytes=_vocabulary_bytes(group, tables),
        shards=shards,
        rows_per_step=rows_per_step,
        wire_bytes=tuple(np.bincount(processes, moved, layout.processes).tolist()),
        assumed=tuple(name for name in group.offsets if demands[name].assumed),
    )


def _skew(loads: Sequence[float]) -> float:
    mean = float(np.mean(loads))
    return max(loads) / mean if mean else 1.0


def _problem(
    tables: Mapping[str, Table], optimizer_of: OptimizerOf, layout: Layout, fixed: Collection[str]
) -> str | None:
    held = _held(group_tables(tables, optimizer_of), tables, layout)
    fullest = int(np.argmax(held))
    if _peak(held[fullest]) <= layout.limit_bytes:
        return None
    allowed = f"the {readable(layout.limit_bytes)} of training.memory_per_server"
    if layout.shared:
        allowed = f"its share, {readable(layout.limit_bytes)}, of this machine's memory"
    return (
        f"training: {layout.task}-{fullest} would take {readable(_peak(held[fullest]))} while a "
        f"checkpoint is written or restored, and {readable(PROCESS_BYTES + held[fullest])} "
        f"otherwise: more than {allowed}; {_remedies(tables, optimizer_of, layout, fixed)}"
    )


def _remedies(
    tables: Mapping[str, Table], optimizer_of: OptimizerOf, layout: Layout, fixed: Collection[str]
) -> str:
    """What would fit, one change at a time."""

    def fits(tables: Mapping[str, Table], optimizer_of: OptimizerOf, layout: Layout) -> bool:
        held = _held(group_tables(tables, optimizer_of), tables, layout)
        return _peak(max(held)) <= layout.limit_bytes

    def servers_fit(servers: int) -> bool:
        return fits(tables, optimizer_of, replace(layout, processes=servers))

    def smallest_optimizer_of(name: str) -> OptimizerSettings:
        return optimizer_of(name) if name in fixed else RowwiseAdagradSettings()

    def dim_is_too_much(dim: int) -> bool:
        return not fits({**tables, largest: replace(table, dim=dim)}, optimizer_of, layout)

    found = []
    if layout.cut and not layout.shared:
        more = range(layout.processes + 1, _MOST_SERVERS)
        at = bisect.bisect_left(more, True, key=servers_fit)
        found += [f"training.parameter_servers: {more[at]}"] if at < len(more) else []
    if fits(tables, smallest_optimizer_of, layout):
        found.append("rowwise_adagrad for all tables in training.optimizers")
    features = {name: table for name, table in tables.items() if name not in fixed}
    largest, table = max(features.items(), key=lambda pair: pair[1].rows * pair[1].dim)
    dim = bisect.bisect_left(range(1, table.dim), True, key=dim_is_too_much)
    found += [f"features.{largest}.embedding: {dim}"] if dim else []
    return f"{' or '.join(found)} would fit" if found else "give tables fewer rows"


def readable(size_bytes: float) -> str:
    """Writes bytes for people: `5.12 GB`, `17.5 MB`, `0.8 kB`."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.2f} GB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"
