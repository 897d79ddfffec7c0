"""Rewards that stand in other rows of the log than the choices that earned them."""

from functools import partial

import numpy as np
import pyarrow as pa

from tfrec.data.times import to_seconds
from tfrec.data.values import to_strings
from tfrec.errors import UserError
from tfrec.evaluation.online.attribution import waits
from tfrec.evaluation.online.off_policy_config import Credited, RoundsSource
from tfrec.evaluation.online.reading import Rows, Selection, Wanted, read_columns

ACTION, REWARD = "action", "reward"
_USER, _TIME = "user", "time"


def choices_of_shoppers(reward: Credited) -> dict[str, Wanted]:
    """The columns that `with_rewards` needs of the choices beside the action."""
    to_times = partial(to_seconds, unit=reward.unit, format=None)
    return {_USER: Wanted(reward.user, to_strings), _TIME: Wanted(reward.time, to_times)}


def with_rewards(
    choices: Rows, log: RoundsSource, reward: Credited, max_reject_share: float
) -> Rows:
    """Gives each choice a reward of 1 if its event followed, and 0 otherwise.

    Args:
      choices: rows of the log, with the columns of `choices_of_shoppers`.
      log: where they are from.
      reward: which of its rows are the events.
      max_reject_share: the largest share of those rows that may be wrong.

    Returns:
      The choices that are old enough, with the column `reward`.

    Raises:
      UserError: if the log has no such event, or too many of them are wrong.
    """
    wanted = choices_of_shoppers(reward) | {ACTION: Wanted(log.action, to_strings)}
    selection = Selection(source=log.source, where=reward.where)
    events = read_columns("log.reward", selection, wanted, max_reject_share)
    users, items = (_numbers(choices, events, name) for name in (_USER, ACTION))
    times = np.concatenate([one.columns[_TIME].to_numpy() for one in (choices, events)])
    is_choice = np.arange(len(times)) < len(choices)
    order = np.lexsort([~is_choice, times])
    waited = np.empty(len(times))
    waited[order] = waits(users[order], items[order], times[order], is_choice[order], reward.within)
    followed = np.isfinite(waited[: len(choices)]).astype(np.float64)
    old = times[: len(choices)] <= times.max() - reward.within
    if not old.any():
        raise UserError(
            f"log.reward.within: {reward.within} s: no row is so old at the log's end; give less, "
            "or a longer log"
        )
    columns = choices.columns | {REWARD: pa.array(followed)}
    rejected = choices.rejected + events.rejected
    if not old.all():
        rejected["too young for what may follow"] = int((~old).sum())
    return Rows({name: column.filter(pa.array(old)) for name, column in columns.items()}, rejected)


def _numbers(choices: Rows, events: Rows, name: str) -> np.ndarray:
    """What stands in a column of both, numbered: `[choices + events]` int64."""
    both = pa.concat_arrays([choices.columns[name], events.columns[name]])
    return both.dictionary_encode().indices.to_numpy().astype(np.int64)
