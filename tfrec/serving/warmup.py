"""Warm-up: the requests that a version answers before anybody else's."""

import time
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from tfrec.serving.inference import classify, multi_inference, regress
from tfrec.serving.monitoring import observe_warmup
from tfrec.serving.predict import predict
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MAX_WARMUP_RECORDS = 1000


def warm_up(servable: Servable) -> int:
    """Runs the warm-up records of a version, so that its first request finds the graph ready.

    Args:
      servable: a loaded version; `assets.extra/tf_serving_warmup_requests` in its directory is a
        TFRecord file of PredictionLog: requests to predict, classify, regress or infer.

    Returns:
      How many records were run, 0 where the version has no such file.

    Raises:
      ServingError: if a record fails, is of another kind, or there are more than 1000.
    """
    path = servable.path / WARMUP_FILE
    count = 0
    if not path.is_file():
        return count
    started = time.perf_counter()
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            _run_record(servable, record, f"{path}: record {count}")
            count += 1
            if count > MAX_WARMUP_RECORDS:
                raise ServingError(
                    "INVALID_ARGUMENT",
                    f"Number of warmup records exceeds the maximum ({MAX_WARMUP_RECORDS})"
                    f" at {path}",
                )
    except tf.errors.DataLossError as error:
        raise ServingError(
            "DATA_LOSS", f"{path}: {error.message}; warm-up requests are a TFRecord file"
        ) from error
    observe_warmup(servable.path, time.perf_counter() - started)
    return count


_CALLS = {
    "predict_log": predict,
    "classify_log": classify,
    "regress_log": regress,
    "multi_inference_log": multi_inference,
}


def _run_record(servable: Servable, record: bytes, place: str) -> None:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise ServingError("INVALID_ARGUMENT", f"{place} is no PredictionLog") from error
    kind = log.WhichOneof("log_type")
    if kind is None:
        return
    if kind not in _CALLS:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError("UNIMPLEMENTED", f"{place}: Unsupported log_type for warmup: {number}")
    try:
        _CALLS[kind](servable, getattr(log, kind).request)
    except ServingError as error:
        raise ServingError(error.code, f"{place} failed: {error.message}") from error
