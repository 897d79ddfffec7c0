"""Who trains a job where the tests run: the same steps as a process of its own would make.

That takes seconds less, which processes need to import TensorFlow.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import tf_keras

from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob
from tfrec.training.processes import TaskStatus
from tfrec.training.progress import Progress
from tfrec.training.trainer import train


def in_this_process(
    config: TrainingConfig,
    job: Path,
    logs: Path,
    report: Callable[[Progress], None],
    show: Callable[[Sequence[TaskStatus]], None],
) -> None:
    """Does what `run_cluster` does for the strategy `single`."""
    assert config.strategy == "single"
    before = tf_keras.mixed_precision.global_policy()
    try:
        train(TrainingJob.model_validate_json(job.read_text()), report)
    finally:
        tf_keras.mixed_precision.set_global_policy(before)
