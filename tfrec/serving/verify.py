"""Whether a bundle answers stored requests as the model it was made of."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from tfrec.errors import UserError
from tfrec.serving.names import EXCLUDE, IDS, RECALL, SCORES
from tfrec.serving.servable import Servable
from tfrec.serving.status import ServingError
from tfrec.serving.tensors import from_proto

VERIFICATION_FILE = Path("assets.extra", "tfrec_verification_requests")
TOLERANCE = 1e-4
"""The largest difference allowed, as a share of the largest expected value of its request."""

TOLERANCES = {"float32": TOLERANCE, "float16": 0.005, "int8": 0.05}
"""The same by what a bundle keeps its weights in; they were trained in float32."""

CANDIDATES = "candidates"
"""Among what is expected of lists that a ranker orders."""

_ALLOWED = "_tolerance"
_SMALLEST_SCALE = 0.01
_RECALL_NOISE = 0.02


class StoredRequest(NamedTuple):
    """Requests of one signature in a batch, and what to expect.

    Attributes:
      signature: its name.
      inputs: as the signature takes them.
      expected: outputs. Of a signature that returns lists, `ids`, `[batch, n]`, the best items of
        all, also those that `exclude` names; `scores`, `[batch, n]`, where the list's are to be the
        same; and `recall`, where it says what share of the exact first items the index finds.
        With `candidates`, a number, `ids` are in the order of the index, and lists are to be the
        best, by `scores`, of the first so many that `exclude` does not name.
      tolerance: the largest difference of a number, as a share of the largest of its request.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]
    expected: Mapping[str, np.ndarray]
    tolerance: float = TOLERANCE


Answer = Mapping[str, np.ndarray] | None
Ask = Callable[[str, Mapping[str, np.ndarray], Sequence[str]], Answer]
"""Name of a signature, inputs, outputs -> these outputs; none if there is no such signature, or not
all of its outputs. Strings are bytes."""


class Checked(NamedTuple):
    """How the answers of one signature compare to what was expected.

    Attributes:
      signature: its name.
      requests: how many were answered.
      difference: the largest of a number from the expected one, as a share of the largest expected
        value of its request; None where numbers are not compared: re-ranking changes scores.
      recall: share of the exact first items that are in the lists; after re-ranking, share of the
        lists that is among the candidates. None where there are no lists.
      fault: what is wrong, empty if nothing is.
    """

    signature: str
    requests: int
    difference: float | None
    recall: float | None
    fault: str


def write_requests(version: Path, model: str, requests: Iterable[StoredRequest]) -> None:
    """Ships requests and expected answers with a bundle: a TFRecord file of PredictionLog.

    Args:
      version: a version's directory.
      model: the model's name on the server.
      requests: what to store.
    """
    path = version / VERIFICATION_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as file:
        for stored in requests:
            record = prediction_log_pb2.PredictionLog()
            log = record.predict_log
            log.request.model_spec.name = model
            log.request.model_spec.signature_name = stored.signature
            for name, value in stored.inputs.items():
                log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            expected = {**stored.expected, _ALLOWED: np.array(stored.tolerance)}
            for name, value in expected.items():
                log.response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            file.write(record.SerializeToString())


def verify(version: Path) -> list[Checked]:
    """Replays the stored requests of a version and compares its answers.

    Numbers are to differ by no more than the tolerance that is stored with them. The scores of a
    list are compared item by item; an item that is not among those stored must not score higher
    than the last of them. An excluded item must not come, and none twice. Recall may be 0.02 below
    what was measured of the index; an item with the score of one that was expected counts as found.

    Args:
      version: its directory.

    Returns:
      One for each stored signature.

    Raises:
      UserError: if there are no stored requests, or the version cannot be loaded.
    """
    requests = read_requests(version)
    with closing(Servable.load(version)) as servable:
        return [check(stored, partial(_run, servable)) for stored in requests]


def read_requests(version: Path) -> list[StoredRequest]:
    """Reads the requests that are stored with a version.

    Raises:
      UserError: if there are none, or the file is damaged.
    """
    return list(_read_requests(version / VERIFICATION_FILE))


def check(stored: StoredRequest, ask: Ask) -> Checked:
    """Compares what is answered to stored requests with what is expected; see `verify`.

    Args:
      stored: requests of one signature.
      ask: runs them.
    """
    lists = IDS in stored.expected
    outputs = [IDS, SCORES] if lists else sorted(stored.expected)
    try:
        answer = ask(stored.signature, stored.inputs, outputs)
    except ServingError as error:
        return _failed(stored, f"the requests fail: {error.message}")
    if answer is None:
        return _failed(stored, "the signature is missing, or one of its outputs is")
    return _check_lists(stored, answer) if lists else _check_values(stored, answer)


def refuse_faults(version: Path, checked: Iterable[Checked]) -> None:
    """Refuses a version that has a fault.

    Raises:
      UserError: naming the signature, the request and the difference.
    """
    for one in checked:
        if one.fault:
            raise UserError(
                f"{version}: {one.signature}: {one.fault}; it does not answer as the model that it "
                "was made of: export it again, and do not serve it"
            )


def _read_requests(path: Path) -> Iterator[StoredRequest]:
    if not path.is_file():
        raise UserError(
            f"{path}: missing; the bundle holds no requests to verify it by. Remove the artefact "
            "of the export stage and run it again"
        )
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record).predict_log
            expected = {name: from_proto(tensor) for name, tensor in log.response.outputs.items()}
            tolerance = float(expected.pop(_ALLOWED, TOLERANCE))
            yield StoredRequest(
                log.request.model_spec.signature_name,
                {name: from_proto(tensor) for name, tensor in log.request.inputs.items()},
                expected,
                tolerance,
            )
    except (tf.errors.DataLossError, DecodeError, ValueError) as error:
        raise UserError(f"{path}: damaged; export the bundle again") from error


def _run(
    servable: Servable, name: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
) -> Answer:
    signature = servable.signatures.get(name)
    if signature is None or not signature.outputs.keys() >= set(outputs):
        return None
    return servable.run(signature, inputs, outputs)


def _check_values(stored: StoredRequest, answer: Mapping[str, np.ndarray]) -> Checked:
    for name, given in answer.items():
        wanted = stored.expected[name].shape
        if given.shape != wanted:
            return _failed(stored, f"{name} has shape {given.shape}, expected was {wanted}")
    each = [_differences(given, stored.expected[name]) for name, given in answer.items()]
    differences = np.max(each, axis=0)
    requests, largest = len(differences), float(differences.max())
    return Checked(stored.signature, requests, largest, None, _unlike(differences, stored))


def _check_lists(stored: StoredRequest, answer: Mapping[str, np.ndarray]) -> Checked:
    ids, expected, best = answer[IDS], stored.expected[IDS], stored.expected.get(SCORES)
    if len(ids) != len(expected):
        return _failed(stored, f"there are {len(ids)} lists, expected were {len(expected)}")
    exclude = stored.inputs.get(EXCLUDE, np.empty([len(ids), 0], object))
    fault = _first(_among(ids, exclude).any(1), "an excluded item comes back")
    fault = fault or _first(_repeated(ids), "an item comes twice")
    if best is None:
        largest = None
        found = _share(_among(ids, expected).sum(1), (ids != b"").sum(1))
    else:
        most = None if CANDIDATES in stored.expected else best[:, -1:]
        own = _own_scores(ids, answer[SCORES], expected, best, most)
        differences = _differences(answer[SCORES], own, _scales(best))
        fault = fault or _first(_rises(answer[SCORES]), "the best item does not come first")
        largest, fault = float(differences.max()), fault or _unlike(differences, stored)
        left = np.where(_among(expected, exclude), -np.inf, best)
        left = _candidates(left, stored.expected.get(CANDIDATES))
        wanted = -np.sort(-left, axis=1)[:, : ids.shape[1]]
        # Rounded scores change places where they are nearer than both are off.
        margin = min(stored.tolerance, max(TOLERANCE, 2 * largest))
        found = _found(own, wanted, margin * _scales(best))
    recall = float(np.nanmean(found)) if np.isfinite(found).any() else 1.0
    fault = fault or _too_few(found, recall, float(stored.expected.get(RECALL, 0.0)))
    return Checked(stored.signature, len(ids), largest, recall, fault)


def _failed(stored: StoredRequest, fault: str) -> Checked:
    name = IDS if IDS in stored.expected else min(stored.expected)
    return Checked(stored.signature, len(stored.expected[name]), None, None, fault)


def _own_scores(
    ids: np.ndarray,
    given: np.ndarray,
    expected: np.ndarray,
    best: np.ndarray,
    most: np.ndarray | None,
) -> np.ndarray:
    """What the items of lists, `[batch, k]`, are to score; `best` are `[batch, n]`."""
    same = ids[:, :, np.newaxis] == expected[:, np.newaxis, :]  # [batch, k, n]
    own = np.take_along_axis(best, same.argmax(2), 1)
    # The score of an item that is not stored is unknown, but for what it cannot exceed.
    return np.where(same.any(2), own, given if most is None else np.minimum(given, most))


def _candidates(scores: np.ndarray, count: np.ndarray | None) -> np.ndarray:
    """Of scores in the order of the index, `[batch, n]`, those of its first candidates."""
    if count is None:
        return scores
    return np.where(np.cumsum(np.isfinite(scores), 1) <= count, scores, -np.inf)


def _found(own: np.ndarray, wanted: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """Share of the wanted scores that the items of a list reach, but for a margin: `[batch]`."""
    there = np.isfinite(wanted)
    least = np.min(wanted, axis=1, initial=np.inf, where=there) - margins
    return _share((own >= least[:, np.newaxis]).sum(1), there.sum(1))


def _too_few(found: np.ndarray, recall: float, measured: float) -> str:
    if recall >= measured - _RECALL_NOISE:
        return ""
    return (
        f"{recall:.4f} of the expected items are in the lists of {len(found)} requests, the "
        f"fewest in those of request {np.nanargmin(found) + 1}; {measured:.4f} were measured"
    )


def _differences(
    given: np.ndarray, expected: np.ndarray, scales: np.ndarray | None = None
) -> np.ndarray:
    """The largest difference of each request as a share of its scale: `[batch]`."""
    same = (given == expected) | (np.isnan(given) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        gaps = np.where(same, 0, np.abs(given - expected))
    gaps = np.nan_to_num(gaps, nan=np.inf, posinf=np.inf).reshape(len(given), -1)
    return gaps.max(1, initial=0) / (_scales(expected) if scales is None else scales)


def _scales(expected: np.ndarray) -> np.ndarray:
    """The largest finite value of each request, but at least a small one: `[batch]`."""
    sizes = np.abs(expected).reshape(len(expected), -1)
    return np.max(sizes, axis=1, initial=_SMALLEST_SCALE, where=np.isfinite(sizes))


def _share(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Hits as a share of how many there could be: `[batch]`, NaN where there could be none."""
    return np.where(of > 0, np.minimum(hits / np.maximum(of, 1), 1), np.nan)


def _among(ids: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which ids, `[batch, k]`, are among some, `[batch, n]`; empty ones never are."""
    return (ids[:, :, np.newaxis] == others[:, np.newaxis, :]).any(2) & (ids != b"")


def _repeated(ids: np.ndarray) -> np.ndarray:
    ordered = np.sort(ids, axis=1)
    return ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != b"")).any(1)


def _rises(scores: np.ndarray) -> np.ndarray:
    return (scores[:, 1:] > scores[:, :-1]).any(1)


def _unlike(differences: np.ndarray, stored: StoredRequest) -> str:
    worst = int(differences.argmax())
    if differences[worst] <= stored.tolerance:
        return ""
    return (
        f"request {worst + 1} of {len(differences)} differs the most, by "
        f"{differences[worst]:.3g} of its largest expected value; {stored.tolerance:g} is allowed"
    )


def _first(wrong: np.ndarray, what: str) -> str:
    """Names the first request that has a fault."""
    return f"request {wrong.argmax() + 1} of {len(wrong)}: {what}" if wrong.any() else ""
