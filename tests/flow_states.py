"""States of requests to the toy shop, for steps that are tried alone."""

from datetime import datetime, timezone
from typing import Any

import numpy as np

from tfrec.config import validate
from tfrec.service.api import RecommendationRequest
from tfrec.service.flow.config import ScenarioConfig
from tfrec.service.flow.plan import Plan
from tfrec.service.flow.state import NO_ITEM, Candidates, State
from tfrec.service.resilience.budget import Budget
from tfrec.service.resilience.config import ResilienceConfig

MOMENT = datetime(2024, 5, 1, tzinfo=timezone.utc)


def make_state(
    rows: Any = (),
    scores: Any = None,
    asked: Any = (),
    history: Any = (),
    hidden: Any = (),
    columns: Any = None,
    scenario_: Any = None,
    **request: Any,
) -> State:
    """Makes a state, e.g. `make_state(rows=[3, 1], history=[0], k=5)`.

    Args:
      rows: of the candidates.
      scores: theirs; by default falling.
      asked: rows of the items that it is about.
      history: rows of the shopper's items.
      hidden: rows that the shopper does not want to see.
      columns: of the candidates.
      scenario_: what differs in the shelf's section.
      **request: fields of the request.
    """
    rows = np.array(rows, np.int64)
    if scores is None:
        scores = 1 / (1 + np.arange(len(rows)))
    nothing = np.zeros(len(rows), np.int64)
    of = {"sources": [{"kind": "popular"}], **(scenario_ or {})}
    plan = Plan(validate(ScenarioConfig, of), [], [], {"popular": 1.0, "item_to_item": 1.0})
    found = Candidates(
        rows, np.array(scores, float), nothing, nothing + NO_ITEM, dict(columns or {})
    )
    return State(
        RecommendationRequest.model_validate({"items": ["item-00"], **request}),
        "request-1",
        plan,
        MOMENT,
        Budget(ResilienceConfig()),
        asked=np.array(asked, np.int64),
        history=np.array(history, np.int64),
        hidden=np.array(hidden, np.int64),
        candidates=found,
    )
