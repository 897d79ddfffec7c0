import os
from pathlib import Path

import pytest

from tfrec.errors import UserError
from tfrec.serving.batching import BatchingParameters, read_batching_parameters


def read(tmp_path: Path, text: str) -> BatchingParameters:
    file = tmp_path / "batching.config"
    file.write_text(text)
    return read_batching_parameters(file)


def test_every_parameter_is_read(tmp_path):
    parameters = read(
        tmp_path,
        """
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 1000000 }
        num_batch_threads { value: 8 }
        thread_pool_name { value: "pool" }
        allowed_batch_sizes: 8
        allowed_batch_sizes: 32
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 32 }
        """,
    )

    assert parameters == BatchingParameters(
        max_batch_size=128,
        batch_timeout_micros=0,
        max_enqueued_batches=1_000_000,
        num_batch_threads=8,
        thread_pool_name="pool",
        allowed_batch_sizes=(8, 32),
        pad_variable_length_inputs=True,
        enable_large_batch_splitting=True,
        max_execution_batch_size=32,
    )
    assert parameters.batch_rows == 32


def test_what_is_left_out_has_the_defaults_of_tensorflow_serving(tmp_path):
    parameters = read(tmp_path, "")

    assert parameters.max_batch_size == parameters.batch_rows == 1000
    assert parameters.batch_timeout_micros == 0
    assert parameters.max_enqueued_batches == 10
    assert parameters.num_batch_threads == os.cpu_count()


def test_execution_size_counts_only_where_requests_are_split():
    assert BatchingParameters(max_batch_size=8, max_execution_batch_size=4).batch_rows == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size: 0: "),
        ("num_batch_threads { value: -1 }", "num_batch_threads: -1: "),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros: -1: "),
        (
            "max_batch_size { value: 8 } allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size;"
            " last entry was 4; expected 8",
        ),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 4 allowed_batch_sizes: 4",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        (
            "max_batch_size { value: 8 } enable_large_batch_splitting { value: true }"
            " max_execution_batch_size { value: 4 } allowed_batch_sizes: 8",
            "Last entry in allowed_batch_sizes must be equal to max_execution_batch_size;"
            " last entry was 8; expected 4",
        ),
        (
            "max_batch_size { value: 4 } enable_large_batch_splitting { value: true }"
            " max_execution_batch_size { value: 8 }",
            "max_batch_size must be greater than or equal to max_execution_batch_size",
        ),
        ("max_batch_size: 4", "Invalid protobuf file"),
    ],
)
def test_value_out_of_the_question_is_refused(tmp_path, text, message):
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)

    assert str(caught.value).startswith("batching_parameters_file")
    assert message in str(caught.value)
