import errno
import os
import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.models.template import ModelConfig
from tfrec.training.config import TrainingConfig
from tfrec.training.failures import ClusterLostError, translate
from tfrec.training.job import TrainingJob


@pytest.fixture
def job(prepared: PreparedData, spec: FeatureSpec, tmp_path: Path) -> TrainingJob:
    """A job on prepared data of its own, to be damaged."""
    shutil.copytree(prepared.path, tmp_path / "prepared")
    return TrainingJob(
        features=spec,
        model=ModelConfig(),
        training=TrainingConfig(),
        prepared=tmp_path / "prepared",
        output=tmp_path,
    )


def examples(job: TrainingJob) -> list[Path]:
    return sorted(job.data.examples(TRAIN).glob("*.tfrecord"))


def error_of_reading(path: Path) -> Exception:
    with pytest.raises(tf.errors.OpError) as caught:
        list(tf.data.TFRecordDataset(str(path)))
    return caught.value


def damaged(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    return path


def test_a_damaged_file_is_named(job: TrainingJob) -> None:
    second = damaged(examples(job)[1])

    meaning = translate(error_of_reading(second), job)

    assert isinstance(meaning, UserError)
    assert str(meaning).startswith(f"{second}: cannot be read (corrupted record at ")
    assert str(meaning).endswith("remove the prepared data and run `tfrec prepare CONFIG` again")


def test_a_missing_file_is_named(job: TrainingJob) -> None:
    first = examples(job)[0]
    first.unlink()

    meaning = translate(error_of_reading(first), job)

    assert isinstance(meaning, UserError)
    assert str(meaning).startswith(f"{first}: cannot be read ({first}; No such file or directory)")


def test_a_file_that_lost_examples_is_named(job: TrainingJob) -> None:
    first, *_ = examples(job)
    count = job.data.parts[TRAIN].files[first.name]
    first.write_bytes(b"")

    meaning = translate(tf.errors.DataLossError(None, None, "what"), job)

    assert str(meaning).startswith(f"{first}: holds 0 examples instead of {count}; ")


def test_where_all_files_can_be_read_the_error_stays_as_it_is(job: TrainingJob) -> None:
    error = tf.errors.NotFoundError(None, None, "no such op")

    assert translate(error, job) is error


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_names_the_directory(job: TrainingJob, code: int) -> None:
    said = (
        "Graph execution error:\n\nDetected at node SaveV2\n"
        f"  (0) RESOURCE_EXHAUSTED:  {job.checkpoints}/ckpt-3_temp/part-0; {os.strerror(code)}\n"
        "\t [[{{node Save}}]]"
    )

    for error in (
        tf.errors.ResourceExhaustedError(None, None, said),
        OSError(code, os.strerror(code)),
    ):
        meaning = translate(error, job)

        assert isinstance(meaning, UserError)
        assert str(meaning).startswith(f"{job.output}: ")
        assert os.strerror(code) in str(meaning)
        assert "--resume" in str(meaning)
        assert "\n" not in str(meaning)
        assert "RESOURCE" not in str(meaning)


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.UnavailableError(None, None, "Socket closed"),
        tf.errors.AbortedError(None, None, "/job:ps/replica:0/task:0 has been restarted"),
        tf.errors.InvalidArgumentError(None, None, "/job:ps/task:0 unknown device."),
    ],
)
def test_a_lost_task_asks_for_a_new_cluster(job: TrainingJob, error: Exception) -> None:
    assert isinstance(translate(error, job), ClusterLostError)


def test_what_a_coordinator_wrapped_is_looked_at(job: TrainingJob) -> None:
    wrapped = RuntimeError("input has an error")
    wrapped.original_exception = tf.errors.UnavailableError(None, None, "Socket closed")

    assert isinstance(translate(wrapped, job), ClusterLostError)


def test_a_bug_stays_a_bug(job: TrainingJob) -> None:
    error = tf.errors.InvalidArgumentError(None, None, "shapes do not match")

    assert translate(error, job) is error
