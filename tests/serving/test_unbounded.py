import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrec.serving.request_size import request_size
from tfrec.serving.servable import Servable
from tfrec.serving.unbounded import unbounded_tensors

FLOATS = [tf.TensorSpec([None], tf.float32, name="x")]


class Graphs(tf.Module):
    """A signature a way to be bounded or not."""

    @tf.function(input_signature=FLOATS)
    def plain(self, x):
        return {"y": tf.reduce_sum(x) + 1}

    @tf.function(input_signature=FLOATS)
    def loop(self, x):
        return {"y": tf.while_loop(lambda i: i < x[0], lambda i: [i + 1], [0.0])[0]}

    @tf.function(input_signature=FLOATS)
    def branch(self, x):
        return {"y": tf.cond(x[0] > 0, lambda: tf.map_fn(lambda v: v + 1, x), lambda: x)}

    @tf.function(input_signature=FLOATS)
    def calls(self, x):
        return {"y": 2 * self.loop(x)["y"]}

    @tf.function(input_signature=FLOATS)
    def python(self, x):
        return {"y": tf.numpy_function(lambda v: v, [x], tf.float32)}


@pytest.fixture(scope="module")
def meta_graph(tmp_path_factory: pytest.TempPathFactory) -> object:
    path, model = tmp_path_factory.mktemp("graphs"), Graphs()
    names = ("plain", "loop", "branch", "calls", "python")
    tf.saved_model.save(model, str(path), signatures={name: getattr(model, name) for name in names})
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        return tf.compat.v1.saved_model.loader.load(session, ["serve"], str(path))


@pytest.mark.parametrize(
    ("name", "unbounded"),
    [("plain", False), ("loop", True), ("branch", True), ("calls", True), ("python", True)],
)
def test_loops_are_found_wherever_they_are(meta_graph, name, unbounded):
    tensor = meta_graph.signature_def[name].outputs["y"].name

    assert (tensor in unbounded_tensors(meta_graph)) == unbounded


def test_loop_of_another_graph_style_is_found():
    with tf.Graph().as_default() as graph:
        tf.compat.v1.disable_control_flow_v2()
        try:
            total = tf.while_loop(lambda i: i < 3, lambda i: i + 1, [tf.constant(0)])
        finally:
            tf.compat.v1.enable_control_flow_v2()
        tf.identity(total, name="total")
        tf.constant(1, name="one")
        meta_graph = tf.compat.v1.train.export_meta_graph(graph=graph)
    for name in ("total", "one"):
        meta_graph.signature_def["serve"].outputs[name].name = f"{name}:0"

    assert unbounded_tensors(meta_graph) == {"total:0"}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list:
    """Runs that were made in the thread of the caller."""
    from tfrec.serving import servable

    runs, run = [], servable._run_here

    def note(*arguments):
        runs.append(arguments)
        return run(*arguments)

    monkeypatch.setattr(servable, "_run_here", note)
    return runs


def test_quick_run_stays_in_the_thread_of_the_caller(saved_models: dict[float, Path], here):
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures["serving_default"]
    inputs = {"x": np.array([2.0], np.float32)}
    size, y = request_size(signature, inputs), signature.outputs["y"].name
    assert servable.expected_seconds(signature, size) == math.inf

    servable._seconds[size] = {y: 0.0001}
    answer = servable.run(signature, inputs, ["y"], 10.0)
    servable._seconds[size] = {y: 0.1}
    servable.run(signature, inputs, ["y"], 10.0)

    assert answer["y"] == [3.0]
    assert len(here) == 1
    servable.close()


def test_many_rows_are_shared_among_threads_unless_they_take_next_to_no_time(
    saved_models: dict[float, Path], here
):
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures["serving_default"]
    y = signature.outputs["y"].name

    for rows, seconds, runs_here in ((15, 0.001, 1), (16, 0.001, 1), (16, 0.0001, 2)):
        inputs = {"x": np.zeros(rows, np.float32)}
        servable._seconds[request_size(signature, inputs)] = {y: seconds}
        servable.run(signature, inputs, ["y"], 10.0)
        assert len(here) == runs_here

    servable.close()


@pytest.mark.parametrize(
    ("name", "few", "same", "many"),
    [
        ("serving_default", np.zeros(2, np.float32), np.ones(3, np.float32), np.ones(4, "f4")),
        ("numbers", np.array(2), np.array(3), np.array(4)),
    ],
)
def test_quick_run_tells_nothing_of_a_larger_one(
    saved_models, here, name, few, same, many, monkeypatch
):
    # However slow the first run is, on a busy machine.
    monkeypatch.setattr("tfrec.serving.servable._QUICK_SECONDS", 60.0)
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures[name]
    ((key, _),) = signature.inputs.items()
    ((output, info),) = signature.outputs.items()
    servable._seconds[request_size(signature, {key: few})] = {info.name: 0.0001}

    for value, runs_here in ((same, 1), (many, 1), (few, 2)):
        servable.run(signature, {key: value}, [output], 10.0)
        assert len(here) == runs_here

    servable.close()


def test_sizes_that_clients_choose_do_not_fill_the_memory(saved_models, monkeypatch):
    monkeypatch.setattr("tfrec.serving.servable._MOST_SIZES", 3)
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures["serving_default"]

    for bits in range(8):
        servable.run(signature, {"x": np.zeros(2**bits, np.float32)}, ["y"], 10.0)
        assert len(servable._seconds) <= 3

    servable.close()


def test_expected_time_falls_at_once_and_rises_slowly(saved_models: dict[float, Path]):
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures["serving_default"]
    tensors, size = [signature.outputs["y"].name], ((1,),)
    expected = []

    for seconds in (1.0, 0.1, 1.1):
        servable._learn(tensors, size, seconds)
        expected.append(servable.expected_seconds(signature, size))

    assert expected == pytest.approx([1.0, 0.1, 0.2])
    servable.close()


def test_loop_is_never_expected_to_be_quick(saved_models: dict[float, Path], here):
    servable = Servable.load(saved_models[2.0])
    signature = servable.signatures["slow"]

    inputs = {"steps": np.array(1)}
    for _ in range(3):
        servable.run(signature, inputs, ["done"], 10.0)

    assert servable.expected_seconds(signature, request_size(signature, inputs)) == math.inf
    assert not here
    servable.close()
