from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfrec.errors import UserError
from tfrec.serving.names import EXCLUDE, IDS, RECALL, RECOMMEND, SCORES
from tfrec.serving.verify import (
    CANDIDATES,
    VERIFICATION_FILE,
    StoredRequest,
    refuse_faults,
    verify,
    write_requests,
)

EMBED = "embed_query"
EMPTY = -np.inf
# What there is for two requests: all four items of the first, and the best three of the second.
BEST_IDS = [["a", "b", "c", "d", ""], ["d", "c", "b", "b2", "b3"]]
BEST_SCORES = [[4.0, 3.0, 2.0, 1.0, EMPTY], [9.0, 8.0, 7.0, 7.0, 7.0]]

Bundle = Callable[..., Path]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Saves a model whose signatures return the same whatever they are asked."""

    def save(**outputs: Mapping[str, Any]) -> Path:
        module = tf.Module()
        signatures = {name: _constant(values) for name, values in outputs.items()}
        module.functions = list(signatures.values())
        tf.saved_model.save(module, str(tmp_path / "1"), signatures=signatures)
        return tmp_path / "1"

    return save


def _constant(outputs: Mapping[str, Any]) -> Callable:
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, EXCLUDE)])
    def answer(exclude: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.debugging.Assert(tf.shape(exclude)[1] < 9, ["many"])]):
            return {name: tf.identity(tf.constant(value)) for name, value in outputs.items()}

    return answer


def lists(ids: Sequence[Sequence[str]], scores: Sequence[Sequence[float]]) -> dict[str, Any]:
    return {IDS: ids, SCORES: scores}


def stored(
    exclude: Sequence[Sequence[str]] = ((), ()), recall: float | None = 1.0, **changes: Any
) -> StoredRequest:
    expected = {IDS: np.array(BEST_IDS, object), SCORES: np.array(BEST_SCORES, np.float32)}
    if recall is not None:
        expected[RECALL] = np.array(recall)
    inputs = {EXCLUDE: np.array(exclude, object).reshape(2, -1)}
    return StoredRequest(RECOMMEND, inputs, {**expected, **changes})


GOOD = lists([["a", "b"], ["d", "c"]], [[4, 3], [9, 8]])


def test_lists_like_those_expected_are_right(bundle: Bundle) -> None:
    version = bundle(recommend=GOOD)
    write_requests(version, "shop", [stored()])

    (checked,) = verify(version)

    assert checked == (RECOMMEND, 2, 0.0, 1.0, "")
    refuse_faults(version, [checked])


def test_excluded_items_leave_their_places_to_the_next(bundle: Bundle) -> None:
    answer = lists([["b", "c", "d", ""], ["c", "b", "b2", "b3"]],
                   [[3, 2, 1, EMPTY], [8, 7, 7, 7]])  # fmt: skip
    version = bundle(recommend=answer)
    write_requests(version, "shop", [stored([["a"], ["d"]])])

    assert verify(version) == [(RECOMMEND, 2, 0.0, 1.0, "")]


def test_item_with_the_score_of_the_last_expected_one_counts_as_found(bundle: Bundle) -> None:
    """Whatever the order of equals is, and whether or not the item is stored."""
    answer = lists([["a", "b", "c"], ["d", "c", "b9"]], [[4, 3, 2], [9, 8, 7]])
    version = bundle(recommend=answer)
    write_requests(version, "shop", [stored()])

    assert verify(version) == [(RECOMMEND, 2, 0.0, 1.0, "")]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lists([["a", "b"], ["d", "c"]], [[4, 3], [9, 8.1]]), "request 2 of 2 differs .* by 0.011"),
        (lists([["a", "b"], ["d", "x"]], [[4, 3], [9, 8]]), "request 2 of 2 differs .* by 0.111"),
        (lists([["a", "x"], ["d", "c"]], [[4, 0], [9, 8]]), "request 1 of 2 differs .* by inf"),
        (lists([["a", "b"], ["d", "c"]], [[4, np.nan], [9, 8]]), "request 1 of 2 .* by inf"),
        (lists([["a", "b"], ["d", "d"]], [[4, 3], [9, 9]]), "request 2 of 2: an item comes twice"),
        (lists([["a", ""], ["d", "c"]], [[4, EMPTY], [9, 8]]), "0.7500 .* of request 1; 1.0000"),
        (lists([["a", "b"], ["d", "b"]], [[4, 3], [9, 7]]), "0.7500 .* of request 2; 1.0000 were"),
        (lists([["a", "b"]], [[4, 3]]), "there are 1 lists, expected were 2"),
        ({IDS: [["a"], ["d"]]}, "the signature is missing, or one of its outputs is"),
    ],
)
def test_lists_that_differ_are_refused_by_signature_and_request(
    bundle: Bundle, answer: dict[str, Any], fault: str
) -> None:
    version = bundle(recommend=answer)
    write_requests(version, "shop", [stored()])

    with pytest.raises(UserError, match=rf"1: recommend: .*{fault}.* export it again"):
        refuse_faults(version, verify(version))


def test_excluded_item_that_comes_back_is_refused(bundle: Bundle) -> None:
    version = bundle(recommend=GOOD)
    write_requests(version, "shop", [stored([["x"], ["c"]])])

    assert verify(version)[0].fault == "request 2 of 2: an excluded item comes back"


@pytest.mark.parametrize(("measured", "right"), [(0.77, True), (0.78, False), (None, True)])
def test_recall_may_be_a_little_below_what_was_measured(
    bundle: Bundle, measured: float | None, right: bool
) -> None:
    version = bundle(recommend=lists([["a", "b"], ["d", "b"]], [[4, 3], [9, 7]]))
    write_requests(version, "shop", [stored(recall=measured)])

    (checked,) = verify(version)

    assert checked.recall == 0.75
    assert (checked.fault == "") == right


@pytest.mark.parametrize(("last", "recall"), [("b", 1.0), ("x", 0.75)])
def test_after_re_ranking_the_items_count_and_not_their_scores(
    bundle: Bundle, last: str, recall: float
) -> None:
    version = bundle(recommend=lists([["b", "a"], ["d", last]], [[77, 3], [EMPTY, 7]]))
    request = stored()
    expected = {name: value for name, value in request.expected.items() if name != SCORES}
    write_requests(version, "shop", [request._replace(expected=expected)])

    (checked,) = verify(version)

    assert (checked.difference, checked.recall) == (None, recall)
    assert (checked.fault == "") == (recall == 1)


@pytest.mark.parametrize(
    ("ids", "scores", "recall", "fault"),
    [
        ([["c", "b"], ["b", "d"]], [[9, 2], [8, 6]], 1.0, ""),
        ([["c", "a"], ["b", "d"]], [[9, 1], [8, 6]], 0.75, "0.7500 of the expected items"),
        ([["c", "b"], ["b", "d"]], [[9, 2], [8, 6.1]], 1.0, "request 2 of 2 differs the most"),
        ([["b", "c"], ["b", "d"]], [[2, 9], [8, 6]], 1.0, "request 1 of 2: the best item does not"),
        # What the index found beyond the candidates is in the place of one of them.
        ([["c", "b"], ["b3", "b"]], [[9, 2], [9, 8]], 1.0, ""),
    ],
)
def test_lists_of_a_ranker_are_the_best_of_the_candidates(
    bundle: Bundle, ids: list, scores: list, recall: float, fault: str
) -> None:
    version = bundle(recommend=lists(ids, scores))
    request = stored()
    own = np.array([[1.0, 2.0, 9.0, 5.0, EMPTY], [6.0, 5.0, 8.0, 3.0, 9.0]], np.float32)
    expected = {**request.expected, SCORES: own, CANDIDATES: np.array(3)}
    write_requests(version, "shop", [request._replace(expected=expected)])

    (checked,) = verify(version)

    assert checked.fault.startswith(fault)
    assert bool(checked.fault) == bool(fault)
    assert checked.recall == recall


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ([[1, 2], [3, 4], [np.nan, EMPTY]], ""),
        ([[1, 2], [3.0003, 4], [np.nan, EMPTY]], ""),
        ([[1, 2], [3.003, 4], [np.nan, EMPTY]], "request 2 of 3 differs the most, by 0.00075 of"),
        ([[1, 2], [3, 4], [0, EMPTY]], "request 3 of 3 differs the most, by inf of"),
        ([[1, 2], [3, 4]], "embedding has shape (2, 2), expected was (3, 2)"),
    ],
)
def test_numbers_are_compared_by_the_largest_of_their_request(
    bundle: Bundle, given: list[list[float]], fault: str
) -> None:
    version = bundle(embed_query={"embedding": given})
    expected = {"embedding": np.array([[1, 2], [3, 4], [np.nan, EMPTY]], np.float32)}
    write_requests(
        version, "shop", [StoredRequest(EMBED, {EXCLUDE: np.full([2, 1], "")}, expected)]
    )

    (checked,) = verify(version)

    assert checked.fault.startswith(fault)
    assert bool(checked.fault) == bool(fault)


def test_requests_that_fail_are_a_fault_with_the_reason(bundle: Bundle) -> None:
    version = bundle(recommend=GOOD)
    write_requests(version, "shop", [stored([["x"] * 9] * 2)])

    assert "the requests fail: " in verify(version)[0].fault
    assert "many" in verify(version)[0].fault


def test_bundle_without_stored_requests_is_refused_with_the_remedy(bundle: Bundle) -> None:
    with pytest.raises(UserError, match=r"tfrec_verification_requests: missing; .* run it again"):
        verify(bundle(recommend=GOOD))


def test_damaged_requests_are_refused(bundle: Bundle) -> None:
    version = bundle(recommend=GOOD)
    write_requests(version, "shop", [stored()])
    file = version / VERIFICATION_FILE
    file.write_bytes(file.read_bytes()[:-9])

    with pytest.raises(UserError, match=r"tfrec_verification_requests: damaged; export"):
        verify(version)


@pytest.mark.parametrize(("tolerance", "right"), [(0.02, True), (0.01, False)])
def test_stored_tolerance_says_how_far_off_scores_and_lists_may_be(
    bundle: Bundle, tolerance: float, right: bool
) -> None:
    """The first list's score is 1/80 off; the second lacks an item that scores 1/90 more."""
    expected = np.array([[4.0, 3.0, 2.0, 1.0, EMPTY], [9.0, 8.0, 7.9, 7.0, 7.0]], np.float32)
    answer = lists([["a", "b"], ["d", "b"]], [[4.05, 3], [9, 7.9]])
    version = bundle(recommend=answer)
    one = stored(scores=expected)._replace(tolerance=tolerance)
    write_requests(version, "shop", [one])

    (checked,) = verify(version)

    assert checked.difference == pytest.approx(0.05 / 4, rel=1e-4)
    assert checked.recall == (1.0 if right else 0.75)
    assert (checked.fault == "") == right
    assert right or checked.fault.endswith("expected value; 0.01 is allowed")


def test_items_change_places_only_where_their_scores_are_as_near_as_those_found(
    bundle: Bundle,
) -> None:
    """The scores are exact; the second list lacks an item that scores a ninth more."""
    version = bundle(recommend=lists([["a", "b"], ["d", "b"]], [[4, 3], [9, 7]]))
    write_requests(version, "shop", [stored()._replace(tolerance=0.2)])

    (checked,) = verify(version)

    assert checked.recall == 0.75
    assert "0.7500 of the expected items" in checked.fault


def test_embedding_may_be_off_by_the_stored_tolerance(bundle: Bundle) -> None:
    version = bundle(embed_query={"embedding": [[1.0, 2.04]]})
    inputs = {EXCLUDE: np.empty([1, 0], object)}
    expected = {"embedding": np.array([[1.0, 2.0]], np.float32)}
    found = []
    for tolerance in (0.05, 0.005):
        write_requests(version, "shop", [StoredRequest(EMBED, inputs, expected, tolerance)])
        found.append(verify(version)[0].fault)

    assert found[0] == ""
    assert found[1].endswith("by 0.02 of its largest expected value; 0.005 is allowed")
