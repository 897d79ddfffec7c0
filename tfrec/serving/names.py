"""Names in the signatures of a bundle; `export_bundle` describes them."""

RECOMMEND, FILTERED, DEFAULT = "recommend", "recommend_filtered", "serving_default"
MEASURE_RECALL, PUT_ITEMS, REMOVE_ITEMS = "measure_recall", "put_items", "remove_items"

K, EXCLUDE, ITEMS = "k", "exclude", "items"
IDS, SCORES, LEFT = "ids", "scores", "left"
RECALL, ROOM, REMOVED = "recall", "room", "removed"
