"""A bundle + many shoppers -> a table of recommendations."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import TensorInfo

from tfrec.config import validate
from tfrec.data import beam as beams
from tfrec.data import counts
from tfrec.data.casting import prefixed
from tfrec.data.config import DataConfig
from tfrec.data.engine import BeamConfig
from tfrec.data.events import USER
from tfrec.data.known_shoppers import KnownShoppers
from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import client_tensor
from tfrec.data.shuffle import Piece, buckets_of, by_bucket, spill_folder, unpack
from tfrec.data.sources import BAD_ROWS, FILE, LINE, UNREADABLE, ReadFiles, column_types, find_files
from tfrec.data.values import Faults, to_floats, to_lists, to_strings, to_vectors
from tfrec.errors import UserError
from tfrec.serving.names import EXCLUDE, IDS, RECOMMEND, SCORES, K
from tfrec.serving.servable import Servable
from tfrec.stages.artifact import Artifact
from tfrec.stages.export import ServingBundle
from tfrec.stages.reporter import Reporter

SCHEMA = pa.schema(
    {"user": pa.string(), "rank": pa.int32(), "id": pa.string(), "score": pa.float32()}
)
"""Columns of the table: one row per recommended item, the best of a shopper at rank 1."""

_REJECTS = "_rejects"
_SUMMARY = "_summary.json"
_BATCH_SHOPPERS = 512
_GROUP_SHOPPERS = 16_384
# The graph compares each found item with each excluded one: `[batch, k + excluded, excluded]`.
_BATCH_COMPARISONS = 1 << 26
_REJECT = partial(beam.pvalue.TaggedOutput, counts.REJECTED)


@dataclass(frozen=True)
class RecommendedTable:
    """A finished directory of recommendations.

    Attributes:
      path: the directory of Parquet files; see `SCHEMA`.
      version: the version of the bundle that answered.
      moment: when the shoppers were asked for.
      shoppers: how many were asked for.
      unknown: how many of them have no profile.
      rows: recommended items.
      read: rows of the files of users.
      rejected: reason -> rows that cannot be right, which are in `_rejects`.
      dropped: reason -> rows left out.
      unused: columns of the files that are no feature of the model.
    """

    path: Path
    version: str
    moment: datetime
    shoppers: int
    unknown: int
    rows: int
    read: int
    rejected: Mapping[str, int]
    dropped: Mapping[str, int]
    unused: Sequence[str]


def recommend(
    bundle: ServingBundle,
    output: Path,
    users: str | Sequence[str] | None = None,
    k: int = 10,
    exclude_seen: bool = False,
    moment: datetime | None = None,
    engine: BeamConfig | None = None,
    reporter: Reporter | None = None,
) -> RecommendedTable:
    """Recommends items to many shoppers, each as `Recommender.recommend` does.

    Args:
      bundle: the artefact of the export stage.
      output: directory to write; it appears whole, or not at all.
      users: files with a column of shoppers' ids, named as in `data.events`, and maybe columns of
        raw features, which stand before what is known of a shopper where they hold a value. A
        shopper's first row counts. By default all shoppers of the prepared data.
      k: how many items for each, at most as many as the catalogue holds.
      exclude_seen: whether to leave out what a shopper chose before: the items of events that
        count, and are of `data.targets` where there are any.
      moment: when, in UTC where it names no zone; now by default.
      engine: the `data.beam` section.
      reporter: hears of the steps.

    Returns:
      The table, and what was counted on the way.

    Raises:
      UserError: if `output` is in use, the bundle, a file or the column is missing, `k` is out of
        range, the model does not take shoppers, or too many rows are rejected.
    """
    reporter, engine = reporter or Reporter(), engine or BeamConfig()
    if output.exists() and not (output.is_dir() and next(output.iterdir(), None) is None):
        raise UserError(f"out: {output}: is there and not empty; name another directory")
    reporter.step("loading the bundle")
    plan = _make_plan(bundle, k, exclude_seen, _utc(moment))
    source = _find_users(users, plan) if users is not None else None
    partial_output = output.with_name(f".{output.name}-partial")
    shutil.rmtree(partial_output, ignore_errors=True)
    (partial_output / _REJECTS).mkdir(parents=True)
    reporter.step("recommending")
    counted, answered = _run(plan, source, engine, partial_output)
    _check(counted, plan, partial_output / _REJECTS)
    if not counted.rejected:
        shutil.rmtree(partial_output / _REJECTS)
    table = RecommendedTable(
        path=output,
        version=f"{bundle.version.parent.name}/{bundle.version.name}",
        moment=plan.moment,
        **answered,
        read=counted.read,
        rejected=counted.rejected,
        dropped=counted.dropped,
        unused=source.unused if source else (),
    )
    summary = {"k": k, "exclude_seen": exclude_seen, **asdict(table)}
    del summary["path"]
    summary["moment"] = plan.moment.isoformat()
    (partial_output / _SUMMARY).write_text(json.dumps(summary, indent=2))
    partial_output.replace(output)
    return table


@dataclass(frozen=True)
class _Plan:
    """What is asked of which bundle.

    Attributes:
      version: directory of the SavedModel.
      inputs: raw feature -> type of its column, lists of one size for vectors.
      separators: feature -> what stands between its values in text.
      user: name of the feature that is the shopper's id.
    """

    version: Path
    prepared: PreparedData
    config: DataConfig
    inputs: Mapping[str, pa.DataType]
    separators: Mapping[str, str]
    user: str
    k: int
    exclude_seen: bool
    moment: datetime


class _Users(NamedTuple):
    """Files of users: those of their columns that are read, and the others."""

    files: list[str]
    columns: list[str]
    unused: list[str]


def _make_plan(bundle: ServingBundle, k: int, exclude_seen: bool, moment: datetime) -> _Plan:
    # A bundle that cannot be loaded fails here, in one line, and not in a worker.
    servable = Servable.load(bundle.version)
    signature = servable.signatures[RECOMMEND].inputs
    inputs = {name: _type(info) for name, info in signature.items() if name not in (K, EXCLUDE)}
    servable.close()
    manifest = Artifact(bundle.prepared).manifest
    items, item = manifest.summary["items"], manifest.summary["item"]
    if not 1 <= k <= items:
        raise UserError(
            f"k: {k} is not between 1 and {items}; ask for at least one item and no more than "
            "the catalogue holds"
        )
    if item in inputs:
        raise UserError(
            f"{bundle.path}: its model takes items ({item}), not shoppers; take the bundle of a "
            "model that recommends to shoppers"
        )
    features = manifest.config["features"]
    return _Plan(
        version=bundle.version,
        prepared=PreparedData(bundle.prepared),
        config=validate(DataConfig, manifest.config["data"], "data"),
        inputs=inputs,
        separators={name: features[name].get("separator") or "," for name in inputs},
        user=manifest.summary["user"],
        k=k,
        exclude_seen=exclude_seen,
        moment=moment,
    )


def _type(info: TensorInfo) -> pa.DataType:
    """The type of a column that an input is made of."""
    sizes = [dim.size for dim in info.tensor_shape.dim]
    if info.dtype == types_pb2.DT_STRING:
        return pa.string() if len(sizes) == 1 else pa.list_(pa.string())
    return pa.float32() if len(sizes) == 1 else pa.list_(pa.float32(), sizes[1])


def _find_users(users: str | Sequence[str], plan: _Plan) -> _Users:
    files = find_files("users", users)
    present = column_types("users", files)
    if plan.user not in present:
        raise UserError(
            f"users: {files[0]}: no column {plan.user!r}, which names the shopper; "
            f"it has {', '.join(present)}"
        )
    columns = [plan.user, *(name for name in present if name in plan.inputs.keys() - {plan.user})]
    return _Users(files, columns, [name for name in present if name not in columns])


def _run(
    plan: _Plan, source: _Users | None, engine: BeamConfig, output: Path
) -> tuple[counts.Counts, dict[str, int]]:
    """Writes the table's files; returns what was read, and what was answered."""
    shards = KnownShoppers(plan.prepared, plan.config).shards

    def build(pipeline: beam.Pipeline, spill: Path | None, scratch: Path) -> None:
        asked = (
            _read(pipeline, source, plan, shards, spill, output / _REJECTS)
            if source
            else pipeline
            | beam.Create([(shard, None) for shard in range(shards)], reshuffle=False)
            | beam.Reshuffle()
        )
        answered = asked | beam.ParDo(_Recommend(plan, output))
        beams.write_lines(answered, scratch, "answered.jsonl")

    with spill_folder(engine, output) as spill, tempfile.TemporaryDirectory(dir=output) as scratch:
        counted = beams.run(engine, lambda pipeline: build(pipeline, spill, Path(scratch)))
        files = Path(scratch).glob("answered-*")
        shares = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return counted, {
        name: sum(share[name] for share in shares) for name in ("shoppers", "unknown", "rows")
    }


def _read(
    pipeline: beam.Pipeline,
    source: _Users,
    plan: _Plan,
    shards: int,
    spill: Path | None,
    rejects: Path,
) -> beam.PCollection:
    """Reads users: `(shard, pieces of it)`."""
    read = pipeline | beam.Create(source.files, reshuffle=False) | ReadFiles(source.columns)
    checked = read[None] | beam.FlatMap(_check_rows, source.columns, plan).with_outputs(
        counts.REJECTED, main="users"
    )
    unread = read[BAD_ROWS] | beam.Map(counts.reject_unread)
    beams.write_lines((checked[counts.REJECTED], unread) | beam.Flatten(), rejects, "users.jsonl")
    beams.write_lines(read[UNREADABLE], rejects, "unreadable-users.txt")
    return (
        checked["users"]
        | beam.FlatMap(lambda batch: by_bucket(batch, buckets_of(batch[USER], shards), spill))
        | beam.GroupByKey()
    )


def _check_rows(batch: pa.RecordBatch, columns: Sequence[str], plan: _Plan) -> Iterator[object]:
    """Raw rows -> rows of the inputs' types, with their file and line."""
    users, wrong = to_strings(batch[plan.user])
    faults = {**prefixed("user", wrong), "missing user": users.is_null()}
    values = {USER: users}
    for name in columns:
        if name != plan.user:
            kind, separator = plan.inputs[name], plan.separators[name]
            values[name], wrong = _cast(batch[name], kind, separator)
            faults |= prefixed(name, wrong)
    counts.read(len(batch))
    good, lines = counts.reject(batch, faults)
    yield from map(_REJECT, lines)
    values |= {FILE: batch[FILE], LINE: batch[LINE]}
    rows = pa.RecordBatch.from_arrays(list(values.values()), list(values)).filter(good)
    if len(rows):
        yield rows


def _cast(column: pa.Array, kind: pa.DataType, separator: str) -> tuple[pa.Array, Faults]:
    if pa.types.is_fixed_size_list(kind):
        return to_vectors(column, kind.list_size, separator)
    if pa.types.is_list(kind):
        return to_lists(column, separator)
    return to_strings(column) if pa.types.is_string(kind) else to_floats(column)


class _Recommend(beam.DoFn):
    """A shard's number and its users, or none for all -> a file; tells what is in it as JSON."""

    def __init__(self, plan: _Plan, output: Path) -> None:
        self._plan, self._output = plan, output

    def setup(self) -> None:
        self._servable = Servable.load(self._plan.version)
        self._known = KnownShoppers(self._plan.prepared, self._plan.config)

    def teardown(self) -> None:
        self._servable.close()

    def process(self, group: tuple[int, Iterable[Piece] | None]) -> Iterator[str]:
        shard, pieces = group
        given = pa.table({USER: self._known.users(shard)}) if pieces is None else _distinct(pieces)
        if not given.num_rows:
            return
        file = self._output / f"recommendations-{shard:05d}-of-{self._known.shards:05d}.parquet"
        scratch, rows, unknown = file.with_suffix(".tmp"), 0, 0
        with pa.parquet.ParquetWriter(scratch, SCHEMA) as writer:
            for start in range(0, given.num_rows, _GROUP_SHOPPERS):
                questions, is_known = self._questions(shard, given.slice(start, _GROUP_SHOPPERS))
                answers = pa.concat_tables(map(self._answer, _batches(questions, self._plan.k)))
                writer.write_table(answers)
                rows, unknown = rows + answers.num_rows, unknown + int((~is_known).sum())
        scratch.rename(file)
        yield json.dumps({"shoppers": given.num_rows, "unknown": unknown, "rows": rows})

    def _questions(self, shard: int, given: pa.Table) -> tuple[pa.Table, np.ndarray]:
        """Fills in what the given columns leave out; `USER` and `EXCLUDE` come with the inputs."""
        users = given[USER].combine_chunks()
        known, is_known = self._known.find(shard, users, self._plan.moment)
        columns = {USER: users}
        for name, kind in self._plan.inputs.items():
            if name == self._plan.user:
                columns[name] = users
                continue
            values = [
                _without_size(table[name].combine_chunks(), kind)
                for table in (given, known)
                if name in table.column_names
            ]
            column = values[0] if values else _without_size(pa.nulls(len(users)), kind)
            if len(values) > 1:
                column = pc.if_else(column.is_valid(), column, values[1])
            if pa.types.is_fixed_size_list(kind):
                column = column.fill_null([0.0] * kind.list_size)
            columns[name] = column
        nothing = pa.array([[]] * len(users), pa.list_(pa.string()))
        seen = self._known.seen(shard, users) if self._plan.exclude_seen else nothing
        return pa.table({**columns, EXCLUDE: seen}), is_known

    def _answer(self, questions: pa.Table) -> pa.Table:
        """Runs the model on a batch; a list ends where no item is left."""
        names = [*self._plan.inputs, EXCLUDE]
        inputs = {name: _encoded(client_tensor(questions[name].combine_chunks())) for name in names}
        if not len(questions[EXCLUDE].combine_chunks().flatten()):
            # One empty string would make an index fetch more than it does for one shopper.
            inputs[EXCLUDE] = inputs[EXCLUDE][:, :0]
        signature = self._servable.signatures[RECOMMEND]
        answer = self._servable.run(
            signature, {**inputs, K: np.asarray(self._plan.k, np.int32)}, [IDS, SCORES]
        )
        shoppers, places = np.nonzero(answer[IDS] != b"")
        columns = [
            questions[USER].combine_chunks().take(pa.array(shoppers)),
            pa.array(places + 1, pa.int32()),
            pa.array(answer[IDS][shoppers, places], pa.binary()).cast(pa.string()),
            pa.array(answer[SCORES][shoppers, places]),
        ]
        return pa.table(columns, schema=SCHEMA)


def _distinct(pieces: Iterable[Piece]) -> pa.Table:
    """The first row of each user, by file and line."""
    table = unpack(pieces)
    table = table.set_column(table.column_names.index(FILE), FILE, table[FILE].cast(pa.string()))
    table = table.take(pc.sort_indices(table, [(FILE, "ascending"), (LINE, "ascending")]))
    repeated = pd.Series(table[USER].to_numpy()).duplicated().to_numpy()
    counts.drop("repeated user", int(repeated.sum()))
    return table.filter(pa.array(~repeated)).drop([FILE, LINE])


def _batches(questions: pa.Table, k: int) -> Iterator[pa.Table]:
    """Cuts questions so that the graph's comparisons with excluded items fit into memory."""
    excluded = pc.list_value_length(questions[EXCLUDE]).to_numpy()
    order = np.argsort(-excluded, kind="stable")
    start = 0
    while start < len(order):
        most = int(excluded[order[start]])
        fitting = _BATCH_COMPARISONS // max(most * (most + k), 1)
        size = min(max(fitting, 1), _BATCH_SHOPPERS)
        yield questions.take(pa.array(order[start : start + size]))
        start += size


def _without_size(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Casts a column to an input's type, vectors to lists of any size."""
    return column.cast(pa.list_(pa.float32()) if pa.types.is_fixed_size_list(kind) else kind)


def _encoded(values: np.ndarray) -> np.ndarray:
    """Strings as the model takes them: bytes."""
    if values.dtype != object:
        return values
    return np.char.encode(values.astype(str), "utf-8").astype(object)


def _check(counted: counts.Counts, plan: _Plan, rejects: Path) -> None:
    """Fails where files could not be read, and where too many rows or all of them were bad."""
    beams.check_readable(rejects)
    limit = plan.config.max_reject_share
    if counted.rejected_share > limit or (counted.read and not counted.kept):
        reasons = ", ".join(f"{rows:,} x {reason}" for reason, rows in counted.rejected.items())
        raise UserError(
            f"users: {sum(counted.rejected.values()):,} of {counted.read:,} rows rejected, more "
            f"than data.max_reject_share {limit}: {reasons}; mend them, all are in {rejects}"
        )


def _utc(moment: datetime | None) -> datetime:
    if moment is None:
        return datetime.now(timezone.utc)
    return moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment
