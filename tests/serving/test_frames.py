import numpy as np
import pandas as pd
import pytest

from tfrec.errors import UserError
from tfrec.serving import Client, ModelServer
from tfrec.serving.frames import to_frame


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_table_goes_in_and_comes_out(server: ModelServer, protocol: str) -> None:
    port = server.port if protocol == "grpc" else server.rest_api_port
    table = pd.DataFrame({"name": ["a", "é"], "count": [1, 2]}, index=[7, 8])

    with Client(f"{protocol}://127.0.0.1:{port}") as client:
        inputs = {**table, "weights": [[1, 2], [0.5, -1]]}
        answer = to_frame(client.predict("tiny", inputs, signature="mixed"))
        halves = to_frame(client.predict("tiny", pd.DataFrame({"x": [1.0, 2.0]})))

    assert answer["greeting"].tolist() == ["hello a", "hello é"]
    assert answer["doubled"].dtype == np.int64
    assert answer["weights"][1].tolist() == [0.5, -1]
    assert halves["y"].tolist() == [2.5, 3.0]


@pytest.mark.parametrize(
    "outputs", [{"a": np.zeros(2), "b": np.zeros(3)}, {"a": np.zeros(2), "b": np.array(1)}, {}]
)
def test_outputs_of_no_one_batch_are_refused(outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(UserError, match="are not of one batch"):
        to_frame(outputs)
