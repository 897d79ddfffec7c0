import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfrec.serving import Client, ModelServer
from tfrec.serving.batcher import BatchedServable, Batcher
from tfrec.serving.batching import BatchingParameters
from tfrec.serving.names import PUT_ITEMS, REMOVE_ITEMS
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError

LONG = 60_000_000


class Doubler(Servable):
    """Stands in for a model: doubles `x`, notes what it ran on, and waits for its gate."""

    def __init__(self) -> None:
        self.path = Path("doubler")
        self.signature = meta_graph_pb2.SignatureDef()
        for name, dtype in (("x", types_pb2.DT_FLOAT), ("word", types_pb2.DT_STRING)):
            self.signature.inputs[name].name = f"{name}:0"
            self.signature.inputs[name].dtype = dtype
        self.signature.outputs["words"].name = "words:0"
        self.signature.outputs["y"].name = "y:0"
        self.signatures = {"double": self.signature}
        self.runs: list[dict[str, list]] = []
        self.timeouts: list[float | None] = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False

    def run(self, signature, inputs, outputs, timeout_seconds=None):
        self.runs.append({name: array.tolist() for name, array in inputs.items()})
        self.timeouts.append(timeout_seconds)
        assert self.gate.wait(60)
        values = self.answer(inputs)
        return {name: values[name] for name in outputs}

    def answer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"y": 2 * inputs["x"], "words": inputs["word"]}

    def close(self) -> None:
        self.closed = True


class Model:
    """A servable behind a batcher, and callers that ask it at the same time."""

    def __init__(self, servable: Doubler, **parameters) -> None:
        self.servable = servable
        self.batcher = Batcher(BatchingParameters(**parameters))
        self.batched: BatchedServable = self.batcher.wrap(servable)
        self._pool = ThreadPoolExecutor(16)

    def ask(self, x, word=None, outputs=("y", "words"), timeout_seconds=None) -> Future:
        x = np.asarray(x, np.float32)
        words = np.empty(x.shape[:1], object)
        words[:] = b"w" if word is None else word
        return self._pool.submit(
            self.batched.run,
            self.servable.signature,
            {"x": x, "word": words},
            outputs,
            timeout_seconds,
        )

    def close(self) -> None:
        self.servable.gate.set()
        self._pool.shutdown()
        self.batched.close()
        self.batcher.close()


@pytest.fixture
def make() -> Iterator[Callable[..., Model]]:
    made = []

    def build(servable: Doubler | None = None, **parameters) -> Model:
        made.append(Model(servable or Doubler(), **parameters))
        return made[-1]

    yield build
    for model in made:
        model.close()


def refusal(answer: Future) -> tuple[str, str]:
    with pytest.raises(ServingError) as caught:
        answer.result()
    return caught.value.code, caught.value.message


def test_concurrent_requests_are_one_run_and_get_their_own_rows(make):
    model = make(max_batch_size=4, batch_timeout_micros=LONG)

    answers = [model.ask([1]), model.ask([2, 3]), model.ask([4])]

    assert [answer.result()["y"].tolist() for answer in answers] == [[2], [4, 6], [8]]
    (run,) = model.servable.runs
    assert sorted(run["x"]) == [1, 2, 3, 4]


def test_outputs_come_in_the_order_asked_for(make):
    model = make(max_batch_size=1)

    answer = model.ask([1], word=b"a\x00", outputs=("words", "y")).result()

    assert list(answer) == ["words", "y"]
    assert answer["words"].tolist() == [b"a\x00"]


def test_lone_request_is_run_after_the_time_to_wait(make):
    model = make(max_batch_size=100, batch_timeout_micros=1000)

    assert model.ask([1]).result()["y"].tolist() == [2]


def test_requests_that_came_during_a_run_are_joined(make, wait_until):
    servable = Doubler()
    servable.gate.clear()
    model = make(servable, max_batch_size=3, num_batch_threads=1)
    first = model.ask([0])
    wait_until(lambda: servable.runs)

    others = [model.ask([1]), model.ask([2]), model.ask([3])]
    servable.gate.set()

    assert [answer.result()["y"].tolist() for answer in (first, *others)] == [[0], [2], [4], [6]]
    assert sum(len(run["x"]) for run in servable.runs) == 4


def test_batch_is_filled_up_to_an_allowed_size(make):
    model = make(max_batch_size=8, allowed_batch_sizes=(2, 5, 8), batch_timeout_micros=0)

    answer = model.ask([1, 2, 3]).result()

    assert answer["y"].tolist() == [2, 4, 6]
    assert model.servable.runs == [{"x": [1, 2, 3, 1, 1], "word": [b"w"] * 5}]


def test_batch_without_rows_is_not_filled_up(make):
    model = make(max_batch_size=8, allowed_batch_sizes=(8,))

    assert model.ask([]).result()["y"].shape == (0,)


def test_rows_of_different_lengths_are_filled_up_with_their_first_value(make):
    model = make(max_batch_size=3, batch_timeout_micros=LONG, pad_variable_length_inputs=True)

    answers = [model.ask([[1, 2, 3]]), model.ask([[4], [5]])]

    assert answers[0].result()["y"].tolist() == [[2, 4, 6]]
    assert answers[1].result()["y"].tolist() == [[8, 8, 8], [10, 8, 8]]


def test_empty_rows_among_others_are_refused(make):
    model = make(max_batch_size=2, batch_timeout_micros=LONG, pad_variable_length_inputs=True)

    answers = [model.ask([[1, 2]]), model.ask(np.zeros((1, 0)))]

    assert {refusal(answer) for answer in answers} == {
        ("INVALID_ARGUMENT", "Got empty tensor in batch of non-empty tensors.")
    }


def test_rows_of_different_lengths_are_refused_without_padding(make):
    model = make(max_batch_size=2, batch_timeout_micros=LONG)

    answers = [model.ask([[1, 2]]), model.ask([[3]])]

    for answer in answers:
        code, message = refusal(answer)
        assert code == "FAILED_PRECONDITION"
        assert message.startswith(
            "Tensors with name 'x:0' from different tasks have different shapes and padding is"
            " turned off."
        )
    assert not model.servable.runs


def test_request_larger_than_a_batch_is_refused(make):
    model = make(max_batch_size=2)

    assert refusal(model.ask([1, 2, 3])) == (
        "INVALID_ARGUMENT",
        "Task size 3 is larger than maximum input batch size 2",
    )


def test_large_request_is_split_where_that_is_enabled(make):
    model = make(max_batch_size=8, max_execution_batch_size=3, enable_large_batch_splitting=True)

    answer = model.ask([1, 2, 3, 4, 5, 6, 7]).result()

    assert answer["y"].tolist() == [2, 4, 6, 8, 10, 12, 14]
    assert sorted(run["x"] for run in model.servable.runs) == [[1, 2, 3], [4, 5, 6], [7]]


def test_failure_of_one_part_fails_the_request(make):
    class Fails(Doubler):
        def answer(self, inputs):
            if 7 in inputs["x"]:
                raise ServingError("INTERNAL", "seven")
            return super().answer(inputs)

    model = make(
        Fails(), max_batch_size=8, max_execution_batch_size=3, enable_large_batch_splitting=True
    )

    assert refusal(model.ask([1, 2, 3, 4, 5, 6, 7])) == ("INTERNAL", "seven")


def test_full_queue_refuses(make, wait_until):
    servable = Doubler()
    servable.gate.clear()
    model = make(servable, max_batch_size=1, max_enqueued_batches=1, num_batch_threads=1)
    running = model.ask([0])
    wait_until(lambda: servable.runs)

    others = [model.ask([number]) for number in (1, 2, 3)]
    wait_until(lambda: sum(answer.done() for answer in others) == 2)
    servable.gate.set()

    assert running.result()["y"].tolist() == [0]
    refused = [answer for answer in others if answer.exception() is not None]
    assert [refusal(answer) for answer in refused] == [
        (
            "UNAVAILABLE",
            "The batch scheduling queue to which this task was submitted is full; currently 1"
            " batches enqueued and max_enqueued_batches is 1",
        )
    ] * 2


def test_full_queue_refuses_what_would_have_to_be_split(make, wait_until):
    servable = Doubler()
    servable.gate.clear()
    model = make(
        servable,
        max_batch_size=9,
        max_execution_batch_size=3,
        enable_large_batch_splitting=True,
        max_enqueued_batches=2,
        num_batch_threads=1,
    )
    running = model.ask([0])
    wait_until(lambda: servable.runs)

    assert refusal(model.ask(range(7))) == (
        "UNAVAILABLE",
        "The batch scheduling queue to which this task was submitted is full; task size is 7 but"
        " scheduling capacity is only 6 (num_enqueued_batches=1, max_enqueued_batches=2,"
        " open_batch_size=0, max_execution_batch_size=3)",
    )
    servable.gate.set()
    assert running.result()["y"].tolist() == [0]


def test_time_that_is_up_before_the_run_is_an_error(make):
    model = make(max_batch_size=1)

    assert refusal(model.ask([1], timeout_seconds=0.0)) == (
        "RESOURCE_EXHAUSTED",
        "Run() timeout exceeded while waiting in batching queue",
    )
    assert not model.servable.runs


def test_batch_has_the_time_of_its_most_patient_request(make):
    model = make(max_batch_size=2, batch_timeout_micros=LONG)

    for answer in (model.ask([1], timeout_seconds=50), model.ask([2], timeout_seconds=100)):
        answer.result()
    for answer in (model.ask([1], timeout_seconds=50), model.ask([2])):
        answer.result()

    limited, endless = model.servable.timeouts
    assert 50 < limited <= 100
    assert endless is None


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        (
            {"x": np.float32(1)[()].reshape(())},
            "Batching Run() input tensors must have at least one dimension",
        ),
        (
            {"x": np.zeros(2, np.float32), "word": np.array([b"a"], object)},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_inputs_need_a_common_batch_dimension(make, inputs, message):
    model = make()

    with pytest.raises(ServingError) as caught:
        model.batched.run(model.servable.signature, inputs, ["y", "words"])

    assert (caught.value.code, caught.value.message) == ("INVALID_ARGUMENT", message)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.zeros(()), "Batched output tensor has 0 dimensions"),
        (
            np.zeros(3),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension"
            " sizes of the input tensors",
        ),
    ],
)
def test_outputs_need_the_batch_dimension(make, output, message):
    class Odd(Doubler):
        def answer(self, inputs):
            return {"y": output, "words": inputs["word"]}

    assert refusal(make(Odd()).ask([1, 2])) == ("FAILED_PRECONDITION", message)


def test_failed_run_fails_each_of_its_requests(make):
    class Fails(Doubler):
        def answer(self, inputs):
            raise ServingError("OUT_OF_RANGE", "too far")

    model = make(Fails(), max_batch_size=2, batch_timeout_micros=LONG)

    answers = [model.ask([1]), model.ask([2])]

    assert {refusal(answer) for answer in answers} == {("OUT_OF_RANGE", "too far")}
    assert answers[0].exception() is not answers[1].exception()


def test_bug_in_a_run_hangs_nobody(make):
    class Breaks(Doubler):
        def answer(self, inputs):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make(Breaks()).ask([1]).result()


def test_run_for_some_outputs_goes_past_the_batches(make):
    model = make(max_batch_size=1)

    answer = model.ask([1, 2, 3], outputs=("y",)).result()

    assert answer["y"].tolist() == [2, 4, 6]


def test_wrong_type_spoils_no_batch(make):
    model = make(max_batch_size=2, batch_timeout_micros=LONG)
    wrong = {"x": np.array([1]), "word": np.array([b"a"], object)}

    model.batched.run(model.servable.signature, wrong, ["y", "words"])

    assert model.servable.runs == [{"x": [1], "word": [b"a"]}]


def test_changes_of_items_are_told_and_not_batched(make):
    class Shop(Doubler):
        def __init__(self) -> None:
            super().__init__()
            self.signatures = {PUT_ITEMS: self.signature, REMOVE_ITEMS: self.signature}

    model = make(Shop(), max_batch_size=2, batch_timeout_micros=LONG)
    told = []

    def change(name, inputs, outputs, timeout_seconds):
        told.append(name)
        return model.batched.run_now(model.servable.signature, inputs, outputs, timeout_seconds)

    model.batched.change = change

    assert model.ask([1, 2, 3]).result()["y"].tolist() == [2, 4, 6]
    assert told == [PUT_ITEMS]


def test_every_signature_has_its_turn(make, wait_until):
    patient, quick = Doubler(), Doubler()
    model = make(patient, max_batch_size=2, batch_timeout_micros=300_000, num_batch_threads=2)
    quick.gate.clear()
    batched = model.batcher.wrap(quick)
    waiting = model.ask([1])
    with ThreadPoolExecutor(1) as pool:
        inputs = {"x": np.zeros(2, np.float32), "word": np.array([b"a"] * 2, object)}
        blocked = pool.submit(batched.run, quick.signature, inputs, ["y", "words"])
        wait_until(lambda: quick.runs)

        # One thread is held by the full batch; the other has to wake for the one that waits.
        assert waiting.result(60)["y"].tolist() == [2]
        quick.gate.set()
        blocked.result()
    batched.close()


def test_closing_closes_the_servable(make):
    model = make()
    other = Doubler()

    model.batcher.wrap(other).close()

    assert other.closed
    assert not model.servable.closed
    assert model.ask([1]).result()["y"].tolist() == [2]


@pytest.fixture
def server(push, tmp_path) -> Iterator[ModelServer]:
    push(tmp_path / "tiny", "1")
    parameters = BatchingParameters(max_batch_size=4, batch_timeout_micros=20_000)
    with ModelServer(
        {"tiny": tmp_path / "tiny"}, port=0, rest_api_port=0, batching=parameters
    ) as server:
        yield server


def test_requests_of_both_protocols_are_batched(server):
    with (
        Client(f"grpc://127.0.0.1:{server.port}") as over_grpc,
        Client(f"http://127.0.0.1:{server.rest_api_port}") as over_rest,
        ThreadPoolExecutor(8) as pool,
    ):
        answers = [
            pool.submit(client.predict, "tiny", {"x": np.full(size, number, np.float32)})
            for number, (client, size) in enumerate(
                [(over_grpc, 1), (over_rest, 2), (over_grpc, 3), (over_rest, 4)] * 5
            )
        ]

        for number, answer in enumerate(answers):
            assert set(answer.result()["y"].tolist()) == {number / 2 + 2}


def test_batching_refuses_over_rest_as_tensorflow_serving_does(server):
    response = httpx.post(
        f"http://127.0.0.1:{server.rest_api_port}/v1/models/tiny:predict",
        content=b'{"instances": [1, 2, 3, 4, 5]}',
    )

    assert response.status_code == 400
    assert response.json() == {"error": "Task size 5 is larger than maximum input batch size 4"}
