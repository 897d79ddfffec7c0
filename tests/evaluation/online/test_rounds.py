from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.evaluation.online.off_policy_config import OffPolicyConfig
from tfrec.evaluation.online.rounds import Rounds, read_rounds

LOG = {
    "place": ["left", "left", "right", "right"],
    "action": ["a", "b", "a", "b"],
    "reward": [0, 1, 1, 0],
    "propensity": [0.5, 0.5, 0.2, 0.8],
    "wanted": [0.1, 0.9, 0.3, 0.7],
}
TABLE = {
    "place": ["left", "left", "right", "right"],
    "action": ["a", "b", "a", "b"],
    "probability": [0.1, 0.9, 0.3, 0.7],
}


def read(content: dict[str, Any]) -> Rounds:
    return read_rounds(validate(OffPolicyConfig, content))


def test_table_gives_the_probability_of_each_choice(bandit: Callable) -> None:
    rounds = read(bandit(LOG, TABLE))

    assert rounds.target.tolist() == pytest.approx(LOG["wanted"])
    assert rounds.policy.probabilities.sum(axis=1).tolist() == pytest.approx([1, 1])


def test_column_gives_it_too(bandit: Callable) -> None:
    content = bandit(LOG, TABLE)

    rounds = read({**content, "target": {"kind": "columns", "probability": "wanted"}})

    assert rounds.target.tolist() == LOG["wanted"]
    assert rounds.policy is None


def test_log_of_the_target_gives_how_often_it_chose_so(bandit: Callable) -> None:
    own = {
        "place": ["left"] * 10 + ["right"] * 10,
        "action": [*"abbbbbbbbb", *"aaabbbbbbb"],
        "got": range(20),
    }
    content = bandit(LOG, own)
    content["target"] = {"kind": "log", "source": content["target"]["source"], "reward": "got"}

    rounds = read(content)

    assert rounds.target.tolist() == pytest.approx(LOG["wanted"])
    assert rounds.measured.mean() == 9.5


@pytest.mark.parametrize("bad", [0, -0.1, 1.5, "", "often"])
def test_propensity_that_is_no_probability_is_refused_with_its_rows(
    bad: object, bandit: Callable
) -> None:
    log = {**LOG, "propensity": [bad, 0.5, bad, 0.8]}

    with pytest.raises(UserError, match=r"^log.propensity: 2 of 4 rows are not above"):
        read(bandit(log, TABLE))


def test_target_probability_above_1_is_refused(bandit: Callable) -> None:
    content = bandit({**LOG, "wanted": [0, 2, 1, 1]}, TABLE)

    with pytest.raises(
        UserError, match=r"^target.probability: 1 of 4 rows are not from 0 to 1: 2;"
    ):
        read({**content, "target": {"kind": "columns", "probability": "wanted"}})


def test_probabilities_that_do_not_sum_to_1_are_refused(bandit: Callable) -> None:
    table = {**TABLE, "probability": [0.1, 0.9, 0.3, 0.6]}

    with pytest.raises(UserError, match=r"target.probability: sums to 0.9 at place right, not"):
        read(bandit(LOG, table))


def test_context_that_the_target_does_not_know_is_named(bandit: Callable) -> None:
    log = {**LOG, "place": ["left", "left", "right", "below"]}

    with pytest.raises(UserError, match="target: says nothing of place below; the log has"):
        read(bandit(log, TABLE))


def test_prediction_is_there_for_every_row(bandit: Callable) -> None:
    content = bandit({**LOG, "model": [0.1, "", 0.2, 0.3]}, TABLE)
    target = {"kind": "columns", "probability": "wanted"}
    target |= {"predicted": "model", "expected": "wanted"}

    with pytest.raises(UserError, match=r"target.predicted: 1 rows hold no number"):
        read({**content, "target": target})


def test_actions_of_one_policy_alone_have_their_place(bandit: Callable) -> None:
    table = {"place": ["left", "right"], "action": ["c", "c"], "probability": [1, 1]}

    rounds = read(bandit(LOG, table))

    assert rounds.target.tolist() == [0, 0, 0, 0]
    assert rounds.policy.action_names == ("a", "b", "c")
    assert np.isclose(rounds.policy.probabilities[:, 2], 1).all()
