"""The step that makes one list of what the sources found."""

from collections.abc import Mapping

import numpy as np

from tfrec.service.flow.state import NO_ITEM, Candidates, Found, State, missing

_LATE = 60.0


class Merge:
    """Fuses ranks: an item counts the more, the earlier and the more often it was found.

        score(item) = sum over sources of weight / (60 + rank)

    Source: Cormack, Clarke and Buettcher, Reciprocal Rank Fusion outperforms Condorcet and
    individual Rank Learning Methods, SIGIR 2009.
    """

    name = "merge"

    def __call__(self, state: State) -> State:
        """Fills `candidates`."""
        return state.having(candidates=fuse(state.found, state.plan.weights, state.plan.kinds))


def fuse(
    found: Mapping[str, Found], weights: Mapping[str, float], kinds: Mapping[str, int]
) -> Candidates:
    """Makes one list of several.

    Args:
      found: kind of source -> what it found; of an item that several found, the first one's word
        counts.
      weights: kind of source -> its weight.
      kinds: kind of source -> its number.

    Returns:
      The items, best first; those that are equal as they were found.
    """
    lists = {kind: one for kind, one in found.items() if len(one.rows)}
    if not lists:
        return Candidates()
    rows = np.concatenate([one.rows for one in lists.values()])
    points = np.concatenate(
        [weights[kind] / (_LATE + 1 + np.arange(len(one.rows))) for kind, one in lists.items()]
    )
    _, first, places = np.unique(rows, return_index=True, return_inverse=True)
    scores = np.bincount(places, points)
    order = np.lexsort((first, -scores))
    first = first[order]
    owners = np.repeat([kinds[kind] for kind in lists], [len(one.rows) for one in lists.values()])
    subjects = np.concatenate(
        [
            np.full(len(one.rows), NO_ITEM) if one.subjects is None else one.subjects
            for one in lists.values()
        ]
    )
    columns = {
        name: _column(name, lists)[first]
        for name in {name for one in lists.values() for name in one.columns}
    }
    return Candidates(rows[first], scores[order], owners[first], subjects[first], columns)


def _column(name: str, lists: Mapping[str, Found]) -> np.ndarray:
    """A column of all sources together; empty of those that do not have it."""
    kind = next(one.columns[name].dtype for one in lists.values() if name in one.columns)
    return np.concatenate(
        [one.columns.get(name, missing(len(one.rows), kind)) for one in lists.values()]
    )
