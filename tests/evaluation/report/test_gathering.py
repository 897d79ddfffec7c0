import numpy as np
import pytest


def test_curves_meet_the_summary_at_the_measured_lengths(found) -> None:
    for ranker, slices in found.summary["metrics"].items():
        for ranking in ("all", "new_to_shopper"):
            for k in (3, 12):
                place = found.gathering.lengths.index(k)
                curve = found.gathering.curves[ranking]["recall"][ranker]
                assert curve[place] == pytest.approx(slices[ranking][f"recall@{k}"])


def test_found_items_are_those_of_the_longest_lists(found) -> None:
    for ranker, lists in found.lists.items():
        for ranking, whole in lists.items():
            gathered = found.gathering.found[ranking][ranker]
            assert gathered.hits.sum() == whole.hits.sum()
            assert gathered.wanted.sum() == len(whole.wanted[0])


def test_examples_are_of_the_model_and_of_new_items(found) -> None:
    users = found.queries.users
    lists = found.lists["model"]["new_to_shopper"]

    assert len(found.gathering.examples) == 6
    for example in found.gathering.examples:
        hits = lists.hits[users.index(example.shopper), :10]
        assert [item.is_hit for item in example.recommended] == hits.tolist()


def test_predictions_are_kept_by_task(make_found) -> None:
    gathering = make_found().gathering

    gathering.add_predictions("click", np.array([0, 1]), np.array([0.2, 0.7]))

    assert gathering.reliability["click"].happened.tolist() == [0, 1]
