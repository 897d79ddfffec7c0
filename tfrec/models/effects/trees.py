"""Boosted trees, as the estimators of effects use them."""

from typing import Annotated, Any

from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tfrec.config import Section

MOST_CATEGORIES = 255
"""Of a feature that is the number of a category: as many as the trees have bins."""

_L2 = 10.0
_FINAL_LEAVES = 4
_FINAL_LEAF_SHARE = 0.02


class Trees(Section):
    """Gradient-boosted trees; the same rows always give the same ones.

    Attributes:
      trees: how many.
      learning_rate: how much each adds.
      leaves: of one tree, at most.
      leaf_rows: the fewest rows of a leaf.
    """

    trees: Annotated[int, Field(gt=0)] = 100
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.06
    leaves: Annotated[int, Field(ge=2)] = 8
    leaf_rows: Annotated[int, Field(gt=0)] = 60

    def regressor(self) -> HistGradientBoostingRegressor:
        """Trees for the mean of an outcome."""
        return HistGradientBoostingRegressor(**self._options())

    def effect_regressor(self, rows: int) -> HistGradientBoostingRegressor:
        """Smaller trees for an effect, which is fainter than what it is the difference of.

        Args:
          rows: how many there are to learn from; 2 % of them are the smallest leaf.
        """
        few = {"min_samples_leaf": max(int(_FINAL_LEAF_SHARE * rows), 1)}
        few["max_leaf_nodes"] = min(self.leaves, _FINAL_LEAVES)
        return HistGradientBoostingRegressor(**{**self._options(), **few})

    def classifier(self, categories: tuple[int, ...] = ()) -> HistGradientBoostingClassifier:
        """Trees for a probability.

        Args:
          categories: places of features that are numbers of categories.
        """
        chosen = list(categories) or None
        return HistGradientBoostingClassifier(**self._options(), categorical_features=chosen)

    def _options(self) -> dict[str, Any]:
        return {
            "max_iter": self.trees,
            "learning_rate": self.learning_rate,
            "max_leaf_nodes": self.leaves,
            "min_samples_leaf": self.leaf_rows,
            "l2_regularization": _L2,
            "early_stopping": False,
            "random_state": 0,
        }
