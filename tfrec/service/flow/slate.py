"""A slate of what a flow ends with."""

import math
from collections.abc import Sequence

import numpy as np

from tfrec.service.api import Slate, SlateItem
from tfrec.service.flow.plan import KINDS
from tfrec.service.flow.shop import Shop
from tfrec.service.flow.state import State


def make_slate(
    state: State, shop: Shop, arms: dict[str, str], propensities: Sequence[float]
) -> Slate:
    """Makes the answer.

    Args:
      state: whose candidates are the places of the slate.
      shop: knows names and features.
      arms: experiment -> the shopper's arm.
      propensities: `[places]`.
    """
    found = state.candidates
    columns = {task: found.columns[task].tolist() for task in state.tasks if task in found.columns}
    coupons = found.columns.get("coupon", np.full(len(found), None, object)).tolist()
    items = tuple(
        SlateItem(
            id=str(shop.catalogue.ids[row]),
            name=str(shop.names[row]),
            position=place + 1,
            score=_number(score),
            scores={
                task: values[place] for task, values in columns.items() if _known(values[place])
            },
            source=KINDS[source],
            features=shop.described(row),
            reason=state.reasons[place].code if state.reasons else None,
            why=state.reasons[place].why if state.reasons else None,
            coupon=coupons[place],
            propensity=propensity,
        )
        for place, (row, score, source, propensity) in enumerate(
            zip(
                found.rows.tolist(),
                found.scores.tolist(),
                found.sources.tolist(),
                propensities,
                strict=True,
            )
        )
    )
    return Slate(
        request_id=state.request_id,
        scenario=state.request.scenario,
        items=items,
        arms=arms,
        models=state.models,
        fallbacks=state.fallbacks,
        emptied_by=None if items else state.emptied_by,
        timings={step: round(taken, 3) for step, taken in state.timings.items()},
    )


def _known(value: float) -> bool:
    return not math.isnan(value)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
