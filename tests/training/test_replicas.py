"""Replicas that train in step are one: each program of `tests/in_step.py` ends where one does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_step import BATCH
from toy_model import make_batch

from tfrec.features.parsing import ITEM_ROW
from tfrec.training.ports import reserve_port

PROGRAM = Path(__file__).parents[1] / "in_step.py"
STEPS = 10
TIMEOUT_SECONDS = 600
SETTINGS: dict[str, Any] = {
    "optimizers": {
        "tables": {"kind": "adagrad", "learning_rate": 0.1, "clip_norm": 0.02},
        "dense": {"kind": "lazy_adam", "learning_rate": 0.01},
        "features": {"shopper": {"kind": "rowwise_adagrad", "weight_decay": 0.1}},
    }
}

Trained = dict[str, np.ndarray]
Train = Callable[..., Sequence[Trained]]

pytestmark = pytest.mark.timeout(2 * TIMEOUT_SECONDS)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains in one process, or in one for each task; returns what each of them ended with."""

    def train(tasks: Sequence[dict[str, Any]] = ({},), **training: Any) -> list[Trained]:
        folder = tmp_path_factory.mktemp("in_step")
        settings = json.dumps({**SETTINGS, **training})
        outputs = [folder / f"{number}.npz" for number in range(len(tasks))]
        processes = [
            subprocess.Popen(
                [sys.executable, PROGRAM, settings, str(STEPS), output],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                     "TF_CONFIG": json.dumps(task)},
                stderr=subprocess.PIPE, text=True,
            )
            for output, task in zip(outputs, tasks, strict=True)
        ]  # fmt: skip
        try:
            for process in processes:
                _, said = process.communicate(timeout=TIMEOUT_SECONDS)
                assert process.returncode == 0, said
        finally:
            for process in processes:
                process.kill()
        return [dict(np.load(output)) for output in outputs]

    return train


@pytest.fixture(scope="module")
def alone(train: Train) -> Trained:
    (trained,) = train(strategy="single")
    assert trained["losses"][-1] < 0.8 * trained["losses"][0]
    return trained


def assert_equal(trained: Trained, alone: Trained) -> None:
    assert trained.keys() == alone.keys()
    for name, values in trained.items():
        np.testing.assert_allclose(values, alone[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_replicas_have_items_in_common_and_unequal_numbers_of_them() -> None:
    rows = [make_batch(BATCH, seed)[ITEM_ROW].numpy().reshape(2, -1) for seed in range(STEPS)]

    assert all(np.intersect1d(*halves).size for halves in rows)
    assert any(len(np.unique(first)) != len(np.unique(second)) for first, second in rows)


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_of_one_process_train_as_one_device_does(
    train: Train, alone: Trained, replicas: int
) -> None:
    (trained,) = train(strategy="mirrored", replicas=replicas)

    assert_equal(trained, alone)


def test_processes_train_as_one_device_does(train: Train, alone: Trained) -> None:
    cluster = {"worker": [f"127.0.0.1:{reserve_port()}" for _ in range(2)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": n}} for n in range(2)]

    first, second = train(tasks, strategy="multi_worker_mirrored", workers=2)

    assert_equal(first, alone)
    assert_equal(second, alone)


def test_replicas_of_a_parameter_servers_worker_train_as_one_does(tmp_path: Path) -> None:
    program, outputs = PROGRAM.with_name("replicas_of_worker.py"), [tmp_path / "1", tmp_path / "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    for replicas, output in enumerate(outputs, start=1):
        command = [sys.executable, program, str(replicas), str(STEPS), f"{output}.npz"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS / 2
        )
        assert done.returncode == 0, done.stderr

    one, two = (dict(np.load(f"{output}.npz")) for output in outputs)
    assert_equal(two, one)
    assert two["worker_steps"].tolist() == [0, STEPS]
