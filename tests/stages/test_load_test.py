from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from toy_bundle import write_toy_bundle

from tfrec.data.prepared import PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.serving import Client, ModelServer, ServingError
from tfrec.serving.load_test import Plan
from tfrec.serving.names import EXCLUDE, RECOMMEND, K
from tfrec.serving.signature import Signature, TensorSpec
from tfrec.stages.artifact import Artifact
from tfrec.stages.load_test import Asked, load_test
from tfrec.stages.recorded_requests import recorded_requests

FEATURES = ["shopper", "weekday"]


@pytest.fixture(scope="module")
def artifact(prepared: PreparedData) -> Artifact:
    return Artifact(prepared.path)


@pytest.fixture(scope="module")
def toy_server(
    prepared: PreparedData, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("bundle")
    inputs = {name: tf.TensorSpec([None], tf.string, name) for name in FEATURES}
    write_toy_bundle(prepared, inputs, folder)
    with ModelServer({"toy": folder / "toy"}, port=0, rest_api_port=0) as server:
        yield server


@pytest.fixture(params=["grpc", "http"])
def url(request: pytest.FixtureRequest, toy_server: ModelServer) -> str:
    port = toy_server.port if request.param == "grpc" else toy_server.rest_api_port
    return f"{request.param}://127.0.0.1:{port}"


@pytest.mark.parametrize("rate", [None, 50])
def test_recorded_shoppers_are_answered(url: str, artifact: Artifact, rate: float | None) -> None:
    heard: list[float] = []

    seconds = 0.5 if rate else 2.0
    plan = Plan(seconds, rate, timeout_seconds=60)
    result = load_test(Asked(url, "toy", RECOMMEND, 3), artifact, plan, 4, heard.append)

    figures = result.by_code()
    assert list(figures) == ["OK"]
    assert figures["OK"].requests == 25 if rate else figures["OK"].requests > 8
    assert 0 < figures["OK"].p50 <= figures["OK"].max
    assert heard[-1] == seconds


def test_refusal_is_told_with_its_reason_before_any_load(url: str, artifact: Artifact) -> None:
    with pytest.raises(ServingError, match="k: 100000 is not between 1 and"):
        load_test(Asked(url, "toy", RECOMMEND, 100_000), artifact, Plan(60), 4)
    with pytest.raises(ServingError, match="other"):
        load_test(Asked(url, "other", RECOMMEND, 3), artifact, Plan(60), 4)
    with pytest.raises(UserError, match="--signature: toy has no rank; it has "):
        load_test(Asked(url, "toy", "rank", 3), artifact, Plan(60), 4)


def test_requests_hold_what_held_out_shoppers_had(
    toy_server: ModelServer, artifact: Artifact
) -> None:
    with Client(f"grpc://127.0.0.1:{toy_server.port}") as client:
        signature = client.metadata("toy")[RECOMMEND]

    requests = recorded_requests(artifact, RECOMMEND, signature, 3)

    queries = QuerySet.read_held_out(PreparedData(artifact.path)).table
    assert len(requests) == queries.num_rows
    for name in FEATURES:
        assert [request[name].tolist() for request in requests] == [
            [value or ""] for value in queries[name].to_pylist()
        ]
    assert {int(request[K]) for request in requests} == {3}
    assert all(request[EXCLUDE].shape == (1, 0) for request in requests)


def test_conditions_are_left_open(artifact: Artifact) -> None:
    takes = {
        "shopper": TensorSpec("string", (None,)),
        "only_aisle": TensorSpec("string", (None, None)),
        "least_price": TensorSpec("float32", (None,)),
        "new_items": TensorSpec("int32", ()),
    }

    request = recorded_requests(artifact, "recommend_filtered", Signature(takes, {}, ""), 3)[0]

    assert request.keys() == takes.keys()
    assert request["only_aisle"].size == 0
    assert np.isnan(request["least_price"]).tolist() == [True]
    assert request["new_items"] == 0


def test_signature_that_takes_more_is_refused(artifact: Artifact) -> None:
    takes = {"items": TensorSpec("string", (None,))}

    with pytest.raises(UserError, match=r"put_items\.items: is not recorded in .*; ask a "):
        recorded_requests(artifact, "put_items", Signature(takes, {}, ""), 3)
