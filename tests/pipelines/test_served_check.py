import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.pipelines.served_check import check_served
from tfrec.serving.export import write_warmup
from tfrec.serving.names import DEFAULT, EXCLUDE, IDS, RECOMMEND, SCORES
from tfrec.serving.verify import StoredRequest, write_requests

LISTS = {
    IDS: np.array([["pêche", "b"], ["c", ""]], object),
    SCORES: np.array([[2.0, 1.0], [3.0, -np.inf]], np.float32),
}
NOTHING, MANY = {EXCLUDE: np.empty([2, 0], object)}, {EXCLUDE: np.empty([5, 0], object)}


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A model that answers the same lists whatever it is asked, but only two queries at a time."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, EXCLUDE)])
    def answer(exclude: tf.Tensor) -> Mapping[str, tf.Tensor]:
        two = tf.debugging.Assert(tf.shape(exclude)[0] == 2, ["two queries, please"])
        with tf.control_dependencies([two]):
            return {name: tf.identity(tf.constant(values)) for name, values in LISTS.items()}

    module.answer = answer
    folder = tmp_path / "shop" / "7"
    tf.saved_model.save(module, str(folder), signatures={RECOMMEND: answer, DEFAULT: answer})
    return folder


def start_with(line: str, then: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets servers print a line before they do what they do."""
    python = folder / "python"
    python.write_text(f"#!/bin/sh\necho {line}\nexec {then}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))


def test_a_server_answers_what_is_stored_and_faults_are_found(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_with("a library says hello", f'{sys.executable} "$@"', tmp_path, monkeypatch)
    better = {**LISTS, SCORES: LISTS[SCORES] + np.float32(1)}
    write_requests(
        version,
        "shop",
        [
            StoredRequest(RECOMMEND, NOTHING, LISTS),
            StoredRequest(RECOMMEND, NOTHING, better),
            StoredRequest(DEFAULT, MANY, LISTS),
            StoredRequest("rank", NOTHING, {"clicks": np.zeros([2, 3])}),
        ],
    )

    right, differing, failing, missing = check_served(version)

    assert right == (RECOMMEND, 2, 0.0, 1.0, "")
    assert "request 1 of 2 differs the most" in differing.fault
    assert failing.fault.startswith("the requests fail: ")
    assert "two queries, please" in failing.fault
    assert missing.fault == "the signature is missing, or one of its outputs is"


def test_a_version_that_cannot_be_loaded_is_refused_with_what_the_server_says(
    version: Path,
) -> None:
    write_requests(version, "shop", [StoredRequest(RECOMMEND, NOTHING, LISTS)])
    write_warmup(version, "shop", [(RECOMMEND, MANY)])

    with pytest.raises(UserError, match=r"shop: cannot be served: model shop: no version") as found:
        check_served(version)

    assert "two queries, please" in str(found.value)
    assert "\n" not in str(found.value)


def test_a_server_that_takes_too_long_is_stopped(version: Path) -> None:
    write_requests(version, "shop", [StoredRequest(RECOMMEND, NOTHING, LISTS)])

    with pytest.raises(UserError, match=r"it was killed: not ready within 0\.1 seconds"):
        check_served(version, timeout_seconds=0.1)


@pytest.mark.timeout(120)
def test_a_server_that_takes_too_long_is_stopped_whatever_it_prints(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_requests(version, "shop", [StoredRequest(RECOMMEND, NOTHING, LISTS)])
    start_with("a library says hello", "sleep 600", tmp_path, monkeypatch)

    with pytest.raises(UserError, match=r"it was killed: not ready within 0\.5 seconds"):
        check_served(version, timeout_seconds=0.5)
