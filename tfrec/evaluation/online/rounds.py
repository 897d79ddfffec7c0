"""A logging policy's choices and a target policy's probabilities, read and checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.values import Faults, to_strings
from tfrec.errors import UserError
from tfrec.evaluation.online.off_policy_config import (
    ColumnsTarget,
    Credited,
    LogTarget,
    OffPolicyConfig,
    RoundsSource,
    TableTarget,
)
from tfrec.evaluation.online.reading import Rows, Wanted, numbers, read_columns
from tfrec.evaluation.online.rewards import ACTION, REWARD, choices_of_shoppers, with_rewards

_CHANCE = "propensity"


@dataclass(frozen=True)
class Policy:
    """A policy that depends on the named contexts alone.

    Attributes:
      probabilities: `[contexts, actions]` float64; each row sums to 1.
      contexts: `[rows]` int64, of the log.
      actions: `[rows]` int64, of the log.
      context_names: what the contexts are.
      action_names: what the actions are.
    """

    probabilities: np.ndarray
    contexts: np.ndarray
    actions: np.ndarray
    context_names: tuple[str, ...]
    action_names: tuple[str, ...]


@dataclass(frozen=True)
class Rounds:
    """A log, and a target policy beside it; arrays are `[rows]` float64.

    Attributes:
      rewards: what came of the choices.
      propensities: the logging policy's probabilities of them, above 0.
      target: the target policy's probabilities of them.
      policy: the whole target policy, where its contexts are known.
      predicted: a reward model's prediction for the choices, if the log has it.
      expected: the prediction's mean over the target's actions, likewise.
      measured: rewards of the target's own log, `[its rows]`, if it has them.
      rejected: reason -> rows left out.
    """

    rewards: np.ndarray
    propensities: np.ndarray
    target: np.ndarray
    policy: Policy | None
    predicted: np.ndarray | None
    expected: np.ndarray | None
    measured: np.ndarray | None
    rejected: dict[str, int]


def read_rounds(config: OffPolicyConfig) -> Rounds:
    """Reads a log and the policy to estimate.

    Raises:
      UserError: if there is nothing to read, a probability is none, or the target says nothing of
        a context of the log.
    """
    log, target = config.log, config.target
    wanted = _choices(log) | {_CHANCE: Wanted(log.propensity, _unchecked, required=False)}
    if isinstance(log.reward, Credited):
        wanted |= choices_of_shoppers(log.reward)
    else:
        wanted[REWARD] = Wanted(log.reward, numbers)
    if isinstance(target, ColumnsTarget):
        names = {"target": target.probability}
        if target.predicted and target.expected:
            names |= {"predicted": target.predicted, "expected": target.expected}
        wanted |= {name: Wanted(column, _unchecked, False) for name, column in names.items()}
    rows = read_columns("log", log, wanted, config.max_reject_share)
    if isinstance(log.reward, Credited):
        rows = with_rewards(rows, log, log.reward, config.max_reject_share)
    propensities = _floats(rows, _CHANCE)
    _check_chances("log.propensity", propensities, propensities > 0, "above 0 and up to 1")
    if isinstance(target, ColumnsTarget):
        return _with_columns(rows, propensities)
    return _with_policy(rows, propensities, target, config)


def _choices(log: RoundsSource) -> dict[str, Wanted]:
    contexts = {f"context.{name}": Wanted(name, to_strings) for name in log.context}
    return {ACTION: Wanted(log.action, to_strings), **contexts}


def _with_columns(rows: Rows, propensities: np.ndarray) -> Rounds:
    target = _floats(rows, "target")
    _check_chances("target.probability", target, target >= 0, "from 0 to 1")
    models = {
        name: _floats(rows, name) if name in rows.columns else None
        for name in ("predicted", "expected")
    }
    for name, values in models.items():
        if values is not None and not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise UserError(f"target.{name}: {count:,} rows hold no number; predict every row")
    rewards = _floats(rows, REWARD)
    return Rounds(
        rewards, propensities, target, None, **models, measured=None, rejected=dict(rows.rejected)
    )


def _with_policy(
    rows: Rows, propensities: np.ndarray, target: LogTarget | TableTarget, config: OffPolicyConfig
) -> Rounds:
    wanted = _choices(config.log)
    if isinstance(target, TableTarget):
        wanted[_CHANCE] = Wanted(target.probability, _unchecked, required=False)
    elif target.reward:
        wanted[REWARD] = Wanted(target.reward, numbers)
    other = read_columns("target", target, wanted, config.max_reject_share)
    policy = _policy(rows, other, config.log.context)
    rejected = rows.rejected + other.rejected
    return Rounds(
        rewards=_floats(rows, REWARD),
        propensities=propensities,
        target=policy.probabilities[policy.contexts, policy.actions],
        policy=policy,
        predicted=None,
        expected=None,
        measured=_floats(other, REWARD) if REWARD in other.columns else None,
        rejected=dict(rejected),
    )


def _policy(rows: Rows, other: Rows, context: Sequence[str]) -> Policy:
    """The target's probabilities, from a table of them or by how often it chose what."""
    contexts, context_names = _encode([_contexts(one, context) for one in (rows, other)])
    actions, action_names = _encode([one.columns[ACTION] for one in (rows, other)])
    weights = np.ones(len(other))
    if _CHANCE in other.columns:
        weights = _floats(other, _CHANCE)
        _check_chances("target.probability", weights, weights >= 0, "from 0 to 1")
    table = np.zeros([len(context_names), len(action_names)])
    np.add.at(table, (contexts[len(rows) :], actions[len(rows) :]), weights)
    totals = table.sum(axis=1, keepdims=True)
    used = np.unique(contexts[: len(rows)])
    if not (totals[used] > 0).all():
        unknown = [context_names[number] for number in used if not totals[number] > 0]
        raise UserError(f"target: says nothing of {'; '.join(unknown)}; the log has that context")
    if _CHANCE in other.columns:
        _check_sums(totals[used, 0], [context_names[number] for number in used])
    probabilities = table / np.where(totals > 0, totals, 1)
    return Policy(
        probabilities, contexts[: len(rows)], actions[: len(rows)], context_names, action_names
    )


def _contexts(rows: Rows, columns: Sequence[str]) -> pa.Array:
    """Each row's context in words; the empty word if nothing tells contexts apart."""
    texts = [
        pc.binary_join_element_wise(pa.scalar(column), rows.columns[f"context.{column}"], " ")
        for column in columns
    ]
    if not texts:
        return pa.repeat(pa.scalar(""), len(rows))
    return reduce(lambda left, right: pc.binary_join_element_wise(left, right, ", "), texts)


def _encode(parts: Sequence[pa.Array]) -> tuple[np.ndarray, tuple[str, ...]]:
    encoded = pa.concat_arrays(parts).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), tuple(encoded.dictionary.to_pylist())


def _check_sums(totals: np.ndarray, names: Sequence[str]) -> None:
    worst = int(np.abs(totals - 1).argmax())
    if abs(totals[worst] - 1) > 1e-3:
        place = f" at {names[worst]}" if names[worst] else ""
        raise UserError(
            f"target.probability: sums to {totals[worst]:.4g}{place}, not to 1; give every action "
            "that the policy may choose, once"
        )


def _check_chances(field: str, values: np.ndarray, low_enough: np.ndarray, range_: str) -> None:
    bad = np.flatnonzero(~(low_enough & (values <= 1)))  # NaN is bad, too
    if len(bad):
        shown = ", ".join(f"{value:g}" for value in np.unique(values[bad])[:3])
        raise UserError(
            f"{field}: {len(bad):,} of {len(values):,} rows are not {range_}: {shown}; log the "
            "probability with which the policy chose the action"
        )


def _unchecked(column: pa.Array) -> tuple[pa.Array, Faults]:
    """Numbers, null where there is none: what is wrong with them is no matter of single rows."""
    return numbers(column)[0], {}


def _floats(rows: Rows, name: str) -> np.ndarray:
    return rows.columns[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
