"""What training takes, said before anything starts."""

from collections.abc import Mapping

import numpy as np
import psutil
import tensorflow as tf
import tensorflow_transform as tft

from tfrec.data.input_pipeline import read_shuffled
from tfrec.data.prepared import TRAIN, ExampleKind, PreparedData
from tfrec.embeddings.demand import Demand, counted_demand, zipf_demand
from tfrec.embeddings.optimizers.config import OptimizerSettings
from tfrec.embeddings.planner import PROCESS_BYTES, Batch, Layout, Plan, plan_tables
from tfrec.errors import UserError
from tfrec.features import Categorical, FeatureSpec, MultiCategorical, Sequence
from tfrec.features.parsing import SOURCE
from tfrec.features.plan import Table, embedding_plan
from tfrec.features.spec import Text
from tfrec.models.base import OwnTable, Template
from tfrec.models.template import ModelConfig, load_template
from tfrec.stages.artifact import Artifact
from tfrec.training.config import TrainingConfig
from tfrec.training.strategies import shards

_COUNTED_EXAMPLES = 2**17
_COUNTED_AT_ONCE = 2**13
_VALUES = 8
"""Values of a list, or n-grams of a text, that are assumed where nobody counted."""


def plan(
    config: TrainingConfig,
    features: FeatureSpec,
    prepared: Artifact,
    model: ModelConfig | None = None,
) -> Plan:
    """Plans the tables of a training on this machine.

    How often rows are asked for is counted on 131,072 of the Examples that the model learns from;
    without prepared data, Zipf's law and full sequences are assumed.

    Args:
      config: the `training` section.
      features: the `features` section.
      prepared: prepared data, which need not be there if no feature has a vocabulary.
      model: the `model` section, by default an empty one.

    Returns:
      The plan; its `problem` says whether it fits.

    Raises:
      UserError: if the rows of a table are not known.
    """
    data = PreparedData(prepared.path)
    is_prepared = _is_prepared(prepared, features)
    if not is_prepared:
        _check_no_vocabulary(features, prepared)
    template, settings = _load(model or ModelConfig())
    own, kind = _own_tables(template, settings), template.reads(settings)
    transform = tft.TFTransformOutput(str(data.transform))
    tables = embedding_plan(features, transform, template.embedded(features, settings))
    if is_prepared and data.example_files(TRAIN, kind).examples:
        demands = _count(features, tables, data, kind)
    else:
        demands = assumed_demands(features, tables)
    replicas = config.replicas_in_step
    batch = Batch(config.batch_size // replicas, config.accumulation)
    tables |= {name: Table(table.rows, table.dim) for name, table in own.items()}
    demands |= {
        name: zipf_demand(table.rows, table.lookups, ordered=False) for name, table in own.items()
    }

    def optimizer_of(name: str) -> OptimizerSettings:
        return own[name].optimizer if name in own else config.optimizers.of_table(name)

    return plan_tables(tables, optimizer_of, layout_of(config), demands, batch, fixed=own)


def layout_of(config: TrainingConfig) -> Layout:
    """Says which processes of a training hold tables, and what memory this machine has for them."""
    memory = psutil.virtual_memory().total
    if config.strategy == "parameter_server":
        servers, limit = config.parameter_servers, config.memory_per_server
        others = config.workers + config.evaluator + 1  # the chief
        left = max(0, memory - others * PROCESS_BYTES)
        return Layout("ps", servers, shards, limit or left, shared=limit is None)
    if config.strategy == "multi_worker_mirrored":
        return Layout("worker", config.workers, None, memory, shared=True)
    copies = config.replicas if config.strategy == "mirrored" else 1
    return Layout("chief", 1, None, memory, shared=True, copies=copies)


def assumed_demands(features: FeatureSpec, tables: Mapping[str, Table]) -> dict[str, Demand]:
    """Assumes Zipf's law, full sequences, and 8 values of other lists.

    Args:
      features: the features.
      tables: name -> table.

    Returns:
      Name of a table -> demand.
    """
    lookups = dict.fromkeys(tables, 0)
    for name in features.inputs:
        if features.table_of(name) in lookups:
            lookups[features.table_of(name)] += _most_values(features, name)
    return {
        name: zipf_demand(table.rows, lookups[name], _is_ordered(features, name))
        for name, table in tables.items()
    }


def _most_values(features: FeatureSpec, name: str) -> int:
    feature = features[name]
    if isinstance(feature, Sequence):
        return feature.last
    return _VALUES if isinstance(feature, MultiCategorical | Text) else 1


def _is_ordered(features: FeatureSpec, name: str) -> bool:
    """Whether rows are numbers of the shop's own; others are chosen by a hash."""
    feature = features[name]
    return isinstance(feature, Categorical | MultiCategorical) and feature.lookup == "identity"


def _is_prepared(prepared: Artifact, features: FeatureSpec) -> bool:
    """Whether there are prepared data that were made with these features."""
    try:
        made = prepared.manifest.config["features"]
    except UserError:
        return False
    return all(
        name in made and made[name].items() <= feature.model_dump(mode="json").items()
        for name, feature in features.root.items()
    )


def _check_no_vocabulary(features: FeatureSpec, prepared: Artifact) -> None:
    for name, feature in features.root.items():
        if not isinstance(feature, Categorical | MultiCategorical) or feature.share is not None:
            continue
        if feature.lookup == "vocabulary":
            raise UserError(
                f"features.{name}: the rows of its vocabulary are counted in preparation, and "
                f"{prepared.path} holds none for this config; run `tfrec prepare CONFIG` first"
            )


def _load(model: ModelConfig) -> tuple[type[Template], Template.Settings]:
    template, settings = load_template(model)
    if not issubclass(template, Template) or not isinstance(settings, Template.Settings):
        raise UserError(f"model.template: {model.template} is fitted and has no tables to plan")
    return template, settings


def _own_tables(template: type[Template], settings: Template.Settings) -> dict[str, OwnTable]:
    """The template's own tables, named as no feature's is."""
    return {f"model.{name}": table for name, table in template.own_tables(settings).items()}


def _count(
    features: FeatureSpec, tables: Mapping[str, Table], data: PreparedData, kind: ExampleKind
) -> dict[str, Demand]:
    train = data.example_files(TRAIN, kind)
    at_once = min(train.examples, _COUNTED_AT_ONCE)
    batches = min(train.examples, _COUNTED_EXAMPLES) // at_once
    read = read_shuffled(train.folder, train.files, features, at_once, seed=0, kind=kind)
    asked: dict[str, list[np.ndarray]] = {name: [] for name in tables}
    inputs = {SOURCE + name: name for name in features.of_role("item")}
    inputs |= {name: name for name in features.inputs}
    for batch in read.take(batches):
        for column_name, name in inputs.items():
            table = features.table_of(name)
            if table in asked and column_name in batch:
                column = batch[column_name]
                values = column.flat_values if isinstance(column, tf.RaggedTensor) else column
                # Fingerprints of a dynamic lookup have no rows yet; any will do.
                asked[table].append(values.numpy() % tables[table].rows)
    examples = batches * at_once
    return {name: counted_demand(np.concatenate(rows), examples) for name, rows in asked.items()}
