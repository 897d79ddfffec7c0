"""The two-tower template and its training on made-up events."""

import tfrec  # noqa: F401  it sets TensorFlow's environment, so it comes first

# isort: split
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf
from rates import Advance
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from tfrec.config import validate
from tfrec.data.input_pipeline import read_shuffled
from tfrec.embeddings.groups import group_tables
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, TIME, WEIGHT
from tfrec.features.plan import Table
from tfrec.models import ModelInputs, TwoTower
from tfrec.training.batches import example_weight
from tfrec.training.config import TrainingConfig
from tfrec.training.step import make_step

USER, ITEM = "user_id", "item_id"

_FILES = 32


def make_spec(users: int, items: int, dim: int) -> FeatureSpec:
    """Describes a shop whose users and items are numbered from 0."""
    common = {"kind": "categorical", "embedding": dim, "lookup": "identity"}
    content = {
        USER: {"role": "user", "rows": users, **common},
        ITEM: {"role": "item", "rows": items, **common},
    }
    return validate(FeatureSpec, content)


def plan_of(spec: FeatureSpec) -> dict[str, Table]:
    """Says which tables such features need."""
    return {
        name: Table(feature.rows + feature.unknown_rows, feature.embedding, feature.unknown_rows)
        for name, feature in spec.root.items()
    }


def make_model(
    spec: FeatureSpec, config: TrainingConfig, item_share: np.ndarray | None = None
) -> TwoTower:
    """Makes the template and its variables; items are equally popular by default."""
    tables = plan_of(spec)
    if item_share is None:
        items = spec[ITEM].rows
        item_share = np.full(items, 1 / items)
    inputs = ModelInputs(
        spec=spec,
        tables=tables,
        groups=group_tables(tables, config.optimizers.of_table),
        item_share=item_share.astype(np.float32),
    )
    dim = spec[ITEM].embedding
    model = TwoTower(inputs, TwoTower.Settings(embedding_dim=dim))
    model.make_variables()
    return model


def steps_on(model: TwoTower, batches: tf.data.Dataset, config: TrainingConfig) -> Advance:
    """Makes a function that makes the steps of one dispatch and returns on how many examples."""
    step = make_step(model, config, config.steps_per_dispatch)
    train, iterator = step.make_train_function(), iter(batches)

    def advance() -> int:
        train(iterator)
        return config.steps_per_dispatch * config.batch_size

    return advance


def zipf_shares(values: int, seed: int) -> np.ndarray:
    """Chances of values whose popularity is 1 / rank, the ranks in random order: `[values]`."""
    weights = 1 / np.random.default_rng(seed).permutation(np.arange(1, values + 1))
    return weights / weights.sum()


def write_examples(folder: Path, user: np.ndarray, item: np.ndarray) -> dict[str, int]:
    """Writes transformed Examples of `[events]` users and items, as preparation does.

    Returns:
      Name of a file -> number of its Examples.
    """
    folder.mkdir(parents=True)
    encoder, files = RecordBatchToExamplesEncoder(), {}
    for number, rows in enumerate(np.array_split(np.arange(len(user)), _FILES)):
        integers = {
            USER: user[rows], ITEM: item[rows], ITEM_ROW: item[rows],
            TIME: np.zeros_like(rows), REPEAT: np.zeros_like(rows),
        }  # fmt: skip
        columns = {name: pa.array(values, pa.int64()) for name, values in integers.items()}
        columns[WEIGHT] = pa.array(np.ones(len(rows)), pa.float32())
        ones = pa.array(np.arange(len(rows) + 1, dtype=np.int32))
        lists = [pa.ListArray.from_arrays(ones, column) for column in columns.values()]
        name = f"train-{number:05d}.tfrecord"
        with tf.io.TFRecordWriter(str(folder / name)) as file:
            for example in encoder.encode(pa.RecordBatch.from_arrays(lists, list(columns))):
                file.write(example)
        files[name] = len(rows)
    return files


def read_batches(
    folder: Path, files: dict[str, int], spec: FeatureSpec, config: TrainingConfig
) -> tf.data.Dataset:
    """Reads such Examples as training on one device does."""
    weight = example_weight(config, newest=0)
    return read_shuffled(folder, files, spec, config.batch_size, config.seed, weight)
