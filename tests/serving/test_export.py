from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfrec.serving.export import RECOMMEND, write_warmup
from tfrec.serving.tensors import from_proto
from tfrec.serving.warmup import WARMUP_FILE


def test_warmup_requests_keep_the_types_of_strings_numbers_and_vectors(tmp_path: Path) -> None:
    request = {
        "shopper": np.array(["ann", ""], object),
        "genres": np.array([["a", "b"], ["c", ""]], object),
        "price": np.array([3.5, np.nan], np.float32),
        "style": np.array([[1, 2, 3], [0, 0, 0]], np.float32),
        "k": np.int32(7),
    }

    write_warmup(tmp_path, "shop", [request, request])

    records = [raw.numpy() for raw in tf.data.TFRecordDataset(str(tmp_path / WARMUP_FILE))]
    assert len(records) == 2
    read = prediction_log_pb2.PredictionLog.FromString(records[0]).predict_log.request
    assert (read.model_spec.name, read.model_spec.signature_name) == ("shop", RECOMMEND)
    tensors = {name: from_proto(tensor) for name, tensor in read.inputs.items()}
    assert tensors["genres"].tolist() == [[b"a", b"b"], [b"c", b""]]
    assert tensors["shopper"].tolist() == [b"ann", b""]
    for name in ("price", "style", "k"):
        assert tensors[name].dtype == request[name].dtype
        np.testing.assert_array_equal(tensors[name], request[name])
