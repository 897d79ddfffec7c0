"""How requests are joined to batches: TensorFlow Serving's batching parameters."""

import os
from pathlib import Path
from typing import Annotated, Any

import pydantic
from google.protobuf.message import Message
from pydantic import Field, NonNegativeInt, PositiveInt

from tfrec.config import Section, validate
from tfrec.serving.config_protos import BatchingParameters as BatchingParametersProto
from tfrec.serving.config_protos import read_text_proto


class BatchingParameters(Section):
    """How large batches get, and how long they are waited for.

    Attributes:
      max_batch_size: rows of a request, and of a batch unless `max_execution_batch_size` is set.
      batch_timeout_micros: how long a batch that is not full waits for more requests.
      max_enqueued_batches: batches of one signature that may wait; more are refused.
      num_batch_threads: batches that run at once, of all models.
      thread_pool_name: what metrics call those threads.
      allowed_batch_sizes: a batch is filled up to the next of these; empty leaves it as it is.
      pad_variable_length_inputs: whether inputs whose rows differ in shape are filled up to the
        largest, with the first value of each.
      enable_large_batch_splitting: whether a request's rows may go to several batches.
      max_execution_batch_size: rows of a batch, where requests may be split.
    """

    max_batch_size: PositiveInt = 1000
    batch_timeout_micros: NonNegativeInt = 0
    max_enqueued_batches: NonNegativeInt = 10
    num_batch_threads: PositiveInt = os.cpu_count() or 1
    thread_pool_name: str = "model_server_batch_threads"
    allowed_batch_sizes: tuple[Annotated[int, Field(gt=0)], ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: PositiveInt | None = None

    @property
    def batch_rows(self) -> int:
        """Rows of a batch."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size is not None:
            return self.max_execution_batch_size
        return self.max_batch_size

    @pydantic.model_validator(mode="after")
    def _check_sizes(self) -> "BatchingParameters":
        if self.batch_rows > self.max_batch_size:
            raise ValueError(
                "When enable_large_batch_splitting is true, max_batch_size must be greater than or"
                f" equal to max_execution_batch_size; was {self.max_batch_size}; expected"
                f" {self.batch_rows}"
            )
        sizes = self.allowed_batch_sizes
        if list(sizes) != sorted(set(sizes)):
            raise ValueError("allowed_batch_sizes entries must be monotonically increasing")
        if sizes and sizes[-1] != self.batch_rows:
            split = self.enable_large_batch_splitting
            raise ValueError(
                "Last entry in allowed_batch_sizes must"
                f" {'be equal to max_execution_batch_size' if split else 'match max_batch_size'};"
                f" last entry was {sizes[-1]}; expected {self.batch_rows}"
            )
        return self


def read_batching_parameters(path: Path) -> BatchingParameters:
    """Reads a file that holds BatchingParameters in protobuf's text form.

    Raises:
      UserError: if the file cannot be read or holds no such message, or a value is out of the
        question.
    """
    proto = read_text_proto(path, BatchingParametersProto(), "batching_parameters_file")
    values = {parameter.name: _plain(value) for parameter, value in proto.ListFields()}
    return validate(BatchingParameters, values, "batching_parameters_file")


def _plain(value: Any) -> object:
    if isinstance(value, Message):
        return value.value
    return value if isinstance(value, bool) else tuple(value)
