import json
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf
from shop import Shop

from tfrec.config import validate
from tfrec.data.input_pipeline import read_shuffled
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.embeddings.planner import PROCESS_BYTES
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.plan import Table
from tfrec.models.template import ModelConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.plan import assumed_demands, layout_of, plan
from tfrec.stages.train import train
from tfrec.training.config import TrainingConfig

ID = {"kind": "categorical", "embedding": 8}
HASHED = {
    "shopper": {"role": "user", **ID, "lookup": "hash", "rows": 90},
    "recent": {"role": "user", "kind": "sequence", "of": "sku", "last": 5},
    "sku": {"role": "item", **ID, "lookup": "identity", "rows": 50},
    "tags": {
        "role": "item", "kind": "multi_categorical", "embedding": 2, "lookup": "dynamic", "rows": 64
    },
    "title": {"role": "item", "kind": "text", "embedding": 4, "rows": 30},
    "price": {
        "role": "item", "kind": "numeric", "transform": "bucketise", "buckets": 5, "embedding": 3
    },
}  # fmt: skip


def hashed() -> FeatureSpec:
    return validate(FeatureSpec, HASHED)


def training(**values: Any) -> TrainingConfig:
    return validate(TrainingConfig, {"batch_size": 64, **values})


def test_tables_whose_rows_the_config_says_need_no_prepared_data(tmp_path: Path) -> None:
    made = plan(training(), hashed(), Artifact(tmp_path / "prepare"))

    rows = {table: group.rows for group in made.groups for table in group.tables}
    assert rows == {"shopper": 142, "sku": 142, "tags": 65, "title": 30, "price": 6}
    assert {name for group in made.groups for name in group.assumed} == set(rows)


def test_crosses_of_wide_and_deep_are_counted(tmp_path: Path) -> None:
    wide = {"template": "tfrec.models.WideAndDeep", "cross_rows": 10_000_000}
    crosses = [("shopper", "sku"), ("sku", "shopper")]
    models = [ModelConfig.model_validate({**wide, "crosses": pairs}) for pairs in ([], crosses)]

    without, made = (
        plan(training(), hashed(), Artifact(tmp_path / "prepare"), model) for model in models
    )

    *features, group = made.groups
    assert tuple(features) == without.groups
    assert (group.tables, group.rows, group.dim) == (("model.crosses",), 10_000_000, 1)
    assert (group.table_bytes, group.slot_bytes) == (40_000_000, 80_000_000)  # of FTRL
    assert sum(made.held_bytes) == sum(without.held_bytes) + 120_000_000
    assert 64 < group.rows_per_step < 2 * 64  # two pairs of each Example, some alike
    assert group.assumed == group.tables


def test_vocabulary_needs_prepared_data(spec: FeatureSpec, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        plan(training(), spec, Artifact(tmp_path / "prepare"))

    assert str(caught.value) == (
        "features.shopper: the rows of its vocabulary are counted in preparation, and "
        f"{tmp_path / 'prepare'} holds none for this config; run `tfrec prepare CONFIG` first"
    )


def test_data_prepared_for_other_features_are_not_used(prepared: PreparedData, shop: Shop) -> None:
    features = shop.config()["features"]
    fewer = {**features, "sku": {**features["sku"], "rows": 20}}

    with pytest.raises(UserError, match=r"run `tfrec prepare CONFIG` first"):
        plan(training(), validate(FeatureSpec, fewer), Artifact(prepared.path))


def test_other_width_goes_with_the_same_prepared_data(prepared: PreparedData, shop: Shop) -> None:
    features = shop.config()["features"]
    wider = {**features, "aisle": {**features["aisle"], "embedding": 6}}

    made = plan(training(), validate(FeatureSpec, wider), Artifact(prepared.path))

    assert [group.dim for group in made.groups] == [8, 6, 2]


def test_distinct_rows_are_those_of_the_training_examples(
    prepared: PreparedData, spec: FeatureSpec
) -> None:
    made = plan(training(), spec, Artifact(prepared.path))

    seen = []
    files = prepared.parts[TRAIN].files
    for batch in read_shuffled(prepared.examples(TRAIN), files, spec, 64, seed=3).take(60):
        skus = tf.concat([batch["sku"], batch["recent"].flat_values], 0)
        seen.append(len(set(skus.numpy())) + len(set(batch["shopper"].numpy())))
    assert made.groups[0].tables == ("shopper", "sku")
    assert made.groups[0].rows_per_step == pytest.approx(np.mean(seen), rel=0.1)
    assert not any(group.assumed for group in made.groups)


def test_assumed_lookups_are_full_sequences_and_a_few_values_of_lists() -> None:
    names = ["shopper", "sku", "tags", "title", "price"]

    demands = assumed_demands(hashed(), dict.fromkeys(names, Table(50, 4)))

    lookups = {name: demand.lookups for name, demand in demands.items()}
    assert lookups == {"shopper": 1, "sku": 6, "tags": 8, "title": 8, "price": 1}
    assert demands["sku"].rows.tolist() == list(range(50))  # the shop's own numbers


def test_servers_share_what_other_processes_of_the_machine_leave() -> None:
    layout = layout_of(training(workers=3, parameter_servers=2, evaluator=True))

    left = psutil.virtual_memory().total - 5 * PROCESS_BYTES
    assert (layout.task, layout.processes, layout.limit_bytes) == ("ps", 2, left // 2)


def test_memory_per_server_is_the_limit_of_each() -> None:
    layout = layout_of(training(parameter_servers=3, memory_per_server=10**9))

    assert layout.limit_bytes == 10**9


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("single", ("chief", 1, 1)),
        ("mirrored", ("chief", 1, 4)),
        ("multi_worker_mirrored", ("worker", 2, 1)),
    ],
)
def test_strategies_without_servers_hold_whole_tables(
    strategy: str, expected: tuple[str, int, int]
) -> None:
    layout = layout_of(training(strategy=strategy, workers=2, replicas=4))

    assert (layout.task, layout.processes, layout.copies) == expected
    assert layout.cut is None


def test_training_that_does_not_fit_is_refused_before_anything_starts(
    prepared: PreparedData, spec: FeatureSpec, tmp_path: Path
) -> None:
    config = training(memory_per_server=1000)

    with pytest.raises(UserError, match=r"training: ps-0 would take 58\d\.\d MB .* fewer rows$"):
        train(config, ModelConfig(), spec, Artifact(prepared.path), tmp_path / "train")

    (partial,) = tmp_path.iterdir()
    written = json.loads((partial / "plan.json").read_text())
    assert written["problem"].startswith("training: ps-0")
    assert not (partial / "logs").exists()
