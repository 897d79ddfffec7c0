"""Models in closed form by the names that a config calls them, to be shown beside another model."""

from tfrec.models.closed_form import EASE, IALS, ClosedForm, ItemKNN, OwnHistory, Popularity

BASELINES: dict[str, type[ClosedForm]] = {
    "popularity": Popularity,
    "own_history": OwnHistory,
    "item_knn": ItemKNN,
    "ease": EASE,
    "ials": IALS,
}
