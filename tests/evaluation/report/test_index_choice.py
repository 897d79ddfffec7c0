from tfrec.evaluation.report.index_choice import IndexChoice
from tfrec.retrieval.config import IndexConfig, Promise
from tfrec.retrieval.tuning import Measurement

CHOSEN = Measurement("scann", 100, "100 partitions", 4, 2.0, 0.96, 1.5, 0.2, 12.5)
SLOWER = CHOSEN._replace(milliseconds=2.0)
SUMMARY = {
    "items": 60, "measured_on_queries": 9, "chosen": CHOSEN._asdict(),
    "measured": [SLOWER._asdict(), CHOSEN._asdict()],
}  # fmt: skip


def test_choice_is_read_from_a_manifest() -> None:
    promise = Promise(recall=0.9, milliseconds=3)
    config = IndexConfig(promise=promise).model_dump(mode="json")

    choice = IndexChoice.read(config, SUMMARY)

    assert choice == IndexChoice(promise, 60, 9, CHOSEN, (SLOWER, CHOSEN))
    assert choice.front == [CHOSEN]
    assert choice.k == 60


def test_model_that_scores_the_catalogue_has_nothing_to_choose() -> None:
    assert IndexChoice.read({}, {"items": 60, "kind": "scored by the model"}) is None
