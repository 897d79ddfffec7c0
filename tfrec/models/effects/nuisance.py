"""What must be known beside an effect to see it: who is treated, and what happens either way."""

from dataclasses import dataclass

import numpy as np

from tfrec.errors import UserError
from tfrec.models.effects.observations import Observations
from tfrec.models.effects.trees import MOST_CATEGORIES, Trees


@dataclass(frozen=True)
class Nuisance:
    """Predictions for rows by models that have not seen their shoppers; `[rows]` float64 each.

    Attributes:
      propensity: the probability of being treated.
      treated: the outcome if treated.
      control: the outcome if not.
    """

    propensity: np.ndarray
    treated: np.ndarray
    control: np.ndarray

    def overlap(self, margin: float) -> np.ndarray:
        """Rows that could well have been treated, and could well not: `[rows]` bool.

        Source: Crump, Hotz, Imbens and Mitnik, Dealing with limited overlap in estimation of
        average treatment effects, Biometrika 2009.
        """
        return (self.propensity >= margin) & (self.propensity <= 1 - margin)

    def only(self, rows: np.ndarray) -> "Nuisance":
        """The predictions for some of the rows."""
        return Nuisance(self.propensity[rows], self.treated[rows], self.control[rows])


def cross_fit(
    rows: Observations,
    trees: Trees,
    folds: int,
    seed: int,
    propensity: np.ndarray | None = None,
) -> Nuisance:
    """Predicts each row by models of the shoppers in other folds.

    Args:
      rows: what was observed.
      trees: what the models are.
      folds: into how many parts the shoppers are divided, at least 2.
      seed: of the parts.
      propensity: `[rows]` probabilities of being treated where they are known, as in an experiment.

    Raises:
      UserError: if the rows outside a fold are not of both arms, or there are more treatments than
        trees can tell apart.

    Source: Chernozhukov et al., Double/Debiased Machine Learning, Econometrics Journal 2018.
    """
    if propensity is None:
        _check_treatments(rows)
    _, numbers = np.unique(rows.shoppers, return_inverse=True)
    parts = np.random.default_rng(seed).permutation(int(numbers.max(initial=0)) + 1) % folds
    part = parts[numbers]
    chances = np.empty(len(rows)) if propensity is None else propensity
    treated, control = np.empty(len(rows)), np.empty(len(rows))
    for fold in range(folds):
        inside = part == fold
        seen, asked = rows.only(~inside), rows.only(inside)
        _check_arms(seen)
        if propensity is None:
            chances[inside] = _propensity(seen, asked, trees)
        for arm, predicted in ((seen.treated, treated), (~seen.treated, control)):
            model = trees.regressor().fit(seen.features[arm], seen.outcomes[arm])
            predicted[inside] = model.predict(asked.features)
    return Nuisance(chances, treated, control)


def doubly_robust(rows: Observations, nuisance: Nuisance) -> np.ndarray:
    """Values whose mean, over any rows chosen by features, is the mean effect on those rows.

        treated: m1 - m0 + (y - m1) / e        control: m1 - m0 - (y - m0) / (1 - e)

    with the predicted outcomes `m1`, `m0` and the propensity `e`. It holds if either `e` or both
    `m` are right, and the features tell all that decides on both treatment and outcome.

    Returns:
      `[rows]` float64.

    Source: Robins, Rotnitzky and Zhao, Estimation of regression coefficients when some regressors
    are not always observed, JASA 1994.
    """
    chances = nuisance.propensity
    surprise = np.where(
        rows.treated,
        (rows.outcomes - nuisance.treated) / chances,
        -(rows.outcomes - nuisance.control) / (1 - chances),
    )
    return nuisance.treated - nuisance.control + surprise


def _propensity(seen: Observations, asked: Observations, trees: Trees) -> np.ndarray:
    def inputs(rows: Observations) -> np.ndarray:
        return np.column_stack([rows.features, rows.treatments])

    model = trees.classifier(categories=(seen.features.shape[1],))
    return model.fit(inputs(seen), seen.treated).predict_proba(inputs(asked))[:, 1]


def _check_treatments(rows: Observations) -> None:
    if (found := len(np.unique(rows.treatments))) > MOST_CATEGORIES:
        raise UserError(
            f"{found:,} treatments, such as campaigns: trees tell at most {MOST_CATEGORIES} apart; "
            "leave some out, of campaigns by a higher `fewest`"
        )


def _check_arms(rows: Observations) -> None:
    treated = int(rows.treated.sum())
    if not 0 < treated < len(rows):
        raise UserError(
            f"{treated:,} of {len(rows):,} rows are treated; an effect needs shoppers of both arms"
        )
