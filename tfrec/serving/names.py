"""Names in the signatures of a bundle; `export_bundle` describes them."""

RECOMMEND, FILTERED, DEFAULT = "recommend", "recommend_filtered", "serving_default"
EXPLAIN = "explain"
MEASURE_RECALL, PUT_ITEMS, REMOVE_ITEMS = "measure_recall", "put_items", "remove_items"

K, EXCLUDE, ITEMS = "k", "exclude", "items"
IDS, SCORES, LEFT = "ids", "scores", "left"
RECALL, ROOM, REMOVED = "recall", "room", "removed"
REASONS, BASELINES, REMAINDER = "reasons", "baseline_scores", "remainder"
FEATURES, OF_FEATURES = "features", "feature_contributions"
HISTORY, OF_HISTORY, HISTORY_METHOD = "history", "history_contributions", "history_method"
BECAUSE_YOU_BOUGHT, BECAUSE_OF, BUY_AGAIN = "because_you_bought", "because_of", "buy_again"
EXPLANATION = (
    SCORES, REASONS, BASELINES, REMAINDER, FEATURES, OF_FEATURES, HISTORY, OF_HISTORY,
    HISTORY_METHOD,
)  # fmt: skip
"""The outputs of `explain`."""
