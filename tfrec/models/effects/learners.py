"""Estimators of a treatment's effect on a shopper."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from tfrec.models.effects.nuisance import Nuisance, doubly_robust
from tfrec.models.effects.observations import Observations
from tfrec.models.effects.trees import Trees

_LARGEST = 0.99


class EffectLearner(Protocol):
    """Learns an effect by features."""

    def fit(self, rows: Observations, nuisance: Nuisance) -> "EffectLearner":
        """Learns from rows whose nuisance is known; returns itself."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predicts the effect on shoppers: `[rows, features]` -> `[rows]` float64."""


class DRLearner:
    """Regresses the doubly robust values on the features.

    Values beyond the 99 % quantile of their size are cut to it: one rare shopper in an unlikely arm
    weighs as much as twenty, and a tree would follow that one.

    Source: Kennedy, Towards optimal doubly robust estimation of heterogeneous causal effects,
    Electronic Journal of Statistics 2023.
    """

    def __init__(self, trees: Trees) -> None:
        """Says what the regression is."""
        self._trees = trees

    def fit(self, rows: Observations, nuisance: Nuisance) -> "DRLearner":
        """Learns from rows whose nuisance is known; returns itself."""
        values = doubly_robust(rows, nuisance)
        largest = np.quantile(np.abs(values), _LARGEST)
        model = self._trees.effect_regressor(len(rows))
        self._model = model.fit(rows.features, np.clip(values, -largest, largest))
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predicts the effect on shoppers: `[rows, features]` -> `[rows]` float64."""
        return self._model.predict(features)


class XLearner:
    """Two regressions of what an arm's shoppers did beyond what the other arm would have done.

        effect = e tau_0 + (1 - e) tau_1

    with `tau_1` of the treated's `y - m0` and `tau_0` of the others' `m1 - y`. The weight `e` is
    the treated share of all rows: where few are treated `tau_1` counts more, as many taught its
    `m0`.

    Source: Künzel, Sekhon, Bickel and Yu, Metalearners for estimating heterogeneous treatment
    effects using machine learning, PNAS 2019.
    """

    def __init__(self, trees: Trees) -> None:
        """Says what the regressions are."""
        self._trees = trees

    def fit(self, rows: Observations, nuisance: Nuisance) -> "XLearner":
        """Learns from rows whose nuisance is known; returns itself."""
        arms = {
            True: rows.outcomes - nuisance.control,
            False: nuisance.treated - rows.outcomes,
        }
        self._models = {
            arm: self._fit(rows.features[chosen], values[chosen])
            for arm, values in arms.items()
            for chosen in [rows.treated == arm]
        }
        self._share = rows.treated.mean()
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predicts the effect on shoppers: `[rows, features]` -> `[rows]` float64."""
        by_control = self._models[False].predict(features)
        by_treated = self._models[True].predict(features)
        return self._share * by_control + (1 - self._share) * by_treated

    def _fit(self, features: np.ndarray, values: np.ndarray) -> HistGradientBoostingRegressor:
        return self._trees.effect_regressor(len(values)).fit(features, values)


class TLearner:
    """The difference of two models of the outcome, one an arm: the plain way, and the noisy one.

    Source: Künzel et al. 2019, as above.
    """

    def __init__(self, trees: Trees) -> None:
        """Says what the models are."""
        self._trees = trees

    def fit(self, rows: Observations, nuisance: Nuisance) -> "TLearner":
        """Learns from rows; returns itself. The nuisance is not needed."""
        self._models = {
            arm: self._trees.regressor().fit(rows.features[chosen], rows.outcomes[chosen])
            for arm in (True, False)
            for chosen in [rows.treated == arm]
        }
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predicts the effect on shoppers: `[rows, features]` -> `[rows]` float64."""
        return self._models[True].predict(features) - self._models[False].predict(features)


LEARNERS: Mapping[str, type[DRLearner] | type[XLearner] | type[TLearner]] = {
    "dr": DRLearner,
    "x": XLearner,
    "t": TLearner,
}
"""Name in a config -> estimator."""
