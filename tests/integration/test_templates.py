"""Templates of every family on the strategies that spread them, and what is saved of them."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from busy_shop import DAY, FEATURES, BusyShop

from tfrec.config import validate
from tfrec.data.input_pipeline import read_serialized
from tfrec.data.prepared import TEST, PreparedData
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.stages.prepare import prepare
from tfrec.stages.train import save_model
from tfrec.training.cluster import supervise
from tfrec.training.config import TrainingConfig
from tfrec.training.epoch_log import read_epochs
from tfrec.training.job import TrainingJob
from tfrec.training.processes import SUPERVISED

pytestmark = pytest.mark.timeout(1800)

PROGRAM = Path(__file__).parents[1] / "trains_in_turn.py"
TEMPLATES = Path(__file__).parents[2] / "examples"
ROWS = 5000
"""Of a table that is cut over the servers."""

LONG = {"kind": "categorical", "embedding": 8, "lookup": "hash", "rows": ROWS}
WIDE: dict[str, dict[str, Any]] = {
    "visitor": {"role": "user", **LONG},
    "product": {"role": "item", **LONG},
    "recent": FEATURES["recent"],
    "aisle": {**FEATURES["aisle"], "embedding": 8},
    "device": {**FEATURES["device"], "embedding": 8},
    "price": FEATURES["price"],
}
SHOWN, IDS, HISTORY = tuple(WIDE), ("visitor", "product"), ("recent", "product")


class Kind(NamedTuple):
    """A template to train.

    Attributes:
      features: names of those that it takes.
      model: the `model` section.
      answers: what its SavedModel returns for Examples.
    """

    features: tuple[str, ...]
    model: dict[str, Any]
    answers: set[str]


RETRIEVAL = {"embedding"}
KINDS = {
    "factors": Kind(
        IDS, {"template": "tfrec.models.MatrixFactorization", "loss": "bpr"}, RETRIEVAL
    ),
    "sampled": Kind(
        IDS,
        {
            "template": "tfrec.models.TwoTower",
            "embedding_dim": 8,
            "uniform_negatives": 33,
            "hard_negatives": 30,
            "item_frequency": "streaming",
        },
        RETRIEVAL,
    ),
    "sequence": Kind(HISTORY, {"template": "tfrec.models.SASRec"}, RETRIEVAL),
    "own_sequence": Kind(HISTORY, {"template": f"{TEMPLATES / 'gru4rec.py'}:GRU4Rec"}, RETRIEVAL),
    "own_ranker": Kind(
        SHOWN, {"template": f"{TEMPLATES / 'wider_ranker.py'}:WiderRanker"}, {"taken"}
    ),
    "crosses": Kind(
        SHOWN,
        {"template": "tfrec.models.WideAndDeep", "crosses": [IDS], "cross_rows": ROWS},
        {"taken"},
    ),
    "attention": Kind(SHOWN, {"template": "tfrec.models.DIN"}, {"taken"}),
    "tasks": Kind(
        SHOWN,
        {"template": "tfrec.models.MMoE", "tasks": {"click": 1.0, "conversion": 0.5}},
        {"click", "conversion"},
    ),
}


@pytest.fixture(scope="module")
def shown(busy_shop: BusyShop, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    """The busy shop with sequences and with a label for each of two tasks."""
    folder = tmp_path_factory.mktemp("shown")
    labels = {
        "kind": "impressions", "impression": "shown", "positive": ["view", "buy"],
        "tasks": {"click": ["view"], "conversion": ["buy"]},
    }  # fmt: skip
    split = {"kind": "time", "validation": 6 * DAY, "test": 6 * DAY}
    config = busy_shop.write(folder, split=split, sequences=True, labels=labels)
    return PreparedData(prepare(config, validate(FeatureSpec, WIDE), folder / "prepare").path)


def test_templates_learn_on_devices_in_step(shown: PreparedData, tmp_path: Path) -> None:
    jobs = train_all("mirrored", ["sampled", "sequence", "own_ranker", "tasks"], shown, tmp_path)

    for name, job in jobs.items():
        first, *_, last = read_epochs(job.log)
        assert last.loss < first.loss, name


def test_templates_learn_on_parameter_servers_and_answer_once_they_are_saved(
    shown: PreparedData, tmp_path: Path
) -> None:
    jobs = train_all("parameter_server", KINDS.keys() - {"own_ranker"}, shown, tmp_path)

    for name, job in jobs.items():
        first, *_, last = read_epochs(job.log)
        assert last.loss < first.loss, name
        answers = ask(job)
        assert answers.keys() == KINDS[name].answers, name
        assert all(np.isfinite(values).all() for values in answers.values()), name


def train_all(
    strategy: str, kinds: Collection[str], shown: PreparedData, folder: Path
) -> dict[str, TrainingJob]:
    """Trains kinds one after the other, on the same processes."""
    training = TrainingConfig.model_validate(
        {"strategy": strategy, "workers": 2, "parameter_servers": 2, "batch_size": 8, "epochs": 3}
    )
    jobs = {name: write_job(KINDS[name], shown, training, folder / name) for name in kinds}
    command = [sys.executable, str(PROGRAM), str(folder), SUPERVISED]
    supervise(training, command, folder / "logs", lambda progress: None, lambda tasks: None)
    return jobs


def ask(job: TrainingJob) -> dict[str, np.ndarray]:
    """Saves what a training made, and asks it with five Examples."""
    path = job.output / "saved_model"
    save_model(job, path)
    saved = tf.saved_model.load(str(path)).signatures
    signature = "rank_examples" if "rank_examples" in saved else "embed_item_examples"
    examples = next(iter(read_serialized(job.data.examples(TEST), 5)))
    return {name: values.numpy() for name, values in saved[signature](examples=examples).items()}


def write_job(
    kind: Kind, shown: PreparedData, training: TrainingConfig, folder: Path
) -> TrainingJob:
    job = TrainingJob(
        features=validate(FeatureSpec, {name: WIDE[name] for name in kind.features}),
        model=ModelConfig.model_validate(kind.model),
        training=training,
        prepared=shown.path,
        output=folder,
    )
    folder.mkdir()
    job.write()
    return job
