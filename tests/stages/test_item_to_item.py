"""A model of pairs goes through the stages: it learns what goes with what, and in which order."""

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from in_this_process import in_this_process
from records import read_all_examples

from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.prepared import TEST, TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import EvaluationConfig
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW
from tfrec.models import ItemToItem
from tfrec.models.base import ModelInputs
from tfrec.models.template import ModelConfig, reference
from tfrec.retrieval.config import IndexConfig
from tfrec.serving.config import ServingConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.evaluate import EvaluationArtifact, evaluate
from tfrec.stages.export import export
from tfrec.stages.index import index
from tfrec.stages.plan import plan
from tfrec.stages.prepare import prepare
from tfrec.stages.recommender import Recommender
from tfrec.stages.train import TrainedModel, train
from tfrec.training.config import TrainingConfig
from tfrec.training.job import TrainingJob

pytestmark = pytest.mark.timeout(1800)

PHONES, SNACKS, SESSIONS = 12, 40, 900
START = 1_600_000_000
CATEGORY = {"kind": "categorical", "embedding": 8}
FEATURES = {
    "weekday": {"role": "context", "kind": "categorical", "embedding": 2},
    "sku": {"role": "item", **CATEGORY, "unknown_share": 0.1},
    "shelf": {"role": "item", **CATEGORY},
}
MODEL = {"template": "tfrec.models.ItemToItem", "embedding_dim": 8}
TRAINING = {
    "strategy": "single", "batch_size": 64, "epochs": 12,
    "optimizers": {"tables": {"kind": "adagrad", "learning_rate": 0.3}},
}  # fmt: skip


class KeepsInputs(ItemToItem):
    """Remembers what it was told."""

    told: ClassVar[list[ModelInputs]] = []

    def __init__(self, inputs: ModelInputs, settings: ItemToItem.Settings) -> None:
        self.told.append(inputs)
        super().__init__(inputs, settings)


class Made(NamedTuple):
    prepared: Artifact
    trained: TrainedModel
    evaluation: EvaluationArtifact
    recommender: Recommender


def write_phone_shop(folder: Path, **pairs: Any) -> DataConfig:
    """Writes a shop in which each phone is followed by its case, and any case by a snack."""
    random = np.random.default_rng(0)
    shelves = {"phone": PHONES, "case": PHONES, "snack": SNACKS}
    skus = [f"{shelf}-{number:02d}" for shelf, size in shelves.items() for number in range(size)]
    items = {"sku": skus, "shelf": [sku[:-3] for sku in skus]}
    pa.parquet.write_table(pa.table(items), folder / "items.parquet")
    rows = []
    for at, number in zip(
        np.sort(random.integers(60 * 86_400, size=SESSIONS)).tolist(),
        random.integers(PHONES, size=SESSIONS),
        strict=True,
    ):
        bought = f"phone-{number:02d}", f"case-{number:02d}", f"snack-{random.integers(SNACKS):02d}"
        user = f"user-{random.integers(30)}"
        rows += [(user, sku, START + at + 60 * place) for place, sku in enumerate(bought)]
    users, chosen, times = zip(*rows, strict=True)
    events = {"shopper": users, "sku": chosen, "at": times}
    pa.parquet.write_table(pa.table(events), folder / "events.parquet")
    log = {"user": "shopper", "item": "sku", "time": "at"}
    section = {
        "events": {"source": str(folder / "events.parquet"), **log},
        "items": {"source": str(folder / "items.parquet"), "id": "sku", "name": ["sku"]},
        "split": {"kind": "time", "validation": "7d", "test": "7d"},
        "session_gap": "5m",
        "pairs": {"within": "session", "ordered": True, **pairs},
        "shards": 2,
    }
    return validate(DataConfig, section, "data")


@pytest.fixture(scope="module")
def spec() -> FeatureSpec:
    return validate(FeatureSpec, FEATURES, "features")


@pytest.fixture(scope="module")
def made(spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("phones")
    prepared = prepare(write_phone_shop(folder), spec, folder / "prepare")
    training, model = validate(TrainingConfig, TRAINING), ModelConfig.model_validate(MODEL)
    trained = train(training, model, spec, prepared, folder / "train", submitter=in_this_process)
    indexed = index(validate(IndexConfig, {"promise": {"k": 5}}), prepared, trained, folder / "i")
    measured = {"k": [3], "metrics": ["mrr"], "baselines": ["popularity", "item_knn"]}
    section = validate(EvaluationConfig, {**measured, "resamples": 100}, "evaluation")
    evaluation = evaluate(section, prepared, trained, indexed, folder / "evaluate")
    serving = validate(ServingConfig, {"name": "shop", "root": str(folder / "serving")}, "serving")
    bundle = export(serving, prepared, trained, indexed, folder / "export")
    return Made(prepared, trained, evaluation, Recommender.load(bundle))


def answers(made: Made, **question: Any) -> list[str]:
    return [item.id for item in made.recommender.recommend(**question)]


def test_it_finds_what_was_planted(made: Made) -> None:
    for number in range(PHONES):
        assert f"case-{number:02d}" in answers(made, sku=f"phone-{number:02d}", k=3)


def test_what_comes_first_does_not_go_with_what_comes_after(made: Made) -> None:
    """A phone leads to its case, which leads to snacks and not back."""
    found = [answers(made, sku=f"case-{number:02d}", k=5) for number in range(PHONES)]

    assert all(f"phone-{number:02d}" not in skus for number, skus in enumerate(found))
    assert sum(sku.startswith("snack") for skus in found for sku in skus) > 0.8 * 5 * PHONES


def test_item_that_is_asked_for_is_not_among_its_own(made: Made) -> None:
    everything = 2 * PHONES + SNACKS

    found = answers(made, sku="phone-03", exclude=["case-03"], k=everything)

    assert len(found) == everything - 2
    assert not {"phone-03", "case-03"} & set(found)


def test_new_item_is_asked_for_by_its_other_features(made: Made) -> None:
    found = answers(made, shelf="case", k=3)

    assert all(sku.startswith("snack") for sku in found)


def test_evaluation_asks_by_items_and_the_model_beats_popularity(made: Made) -> None:
    queries = QuerySet.read(PreparedData(made.prepared.path).queries(TEST, "items"))
    metrics = made.evaluation.manifest.summary["metrics"]

    mrr = {ranker: found["new_to_shopper"]["mrr"] for ranker, found in metrics.items()}

    assert {found["new_to_shopper"]["users"] for found in metrics.values()} == {len(queries)}
    assert list(mrr) == ["model", "popularity", "item_knn"]
    assert mrr["model"] > 1.5 * mrr["popularity"]
    asked = pa.parquet.read_table(made.evaluation.values)["_user"].to_pylist()
    assert {sku[:-3] for sku in asked} == {"phone", "case"}


def test_sampling_is_corrected_by_the_share_of_targets_of_pairs(made: Made) -> None:
    job = TrainingJob.read(made.trained.path)
    own = ModelConfig.model_validate({**MODEL, "template": reference(KeepsInputs)})

    job.model_copy(update={"model": own}).build_model()

    folder = job.data.pair_examples(TRAIN)
    targets = Counter(example[ITEM_ROW][0] for example in read_all_examples(folder))
    expected = [max(targets[row], 1) / targets.total() for row in range(2 * PHONES + SNACKS)]
    np.testing.assert_allclose(KeepsInputs.told[-1].item_share, expected, rtol=1e-6)


def test_plan_holds_only_the_tables_that_items_need(made: Made, spec: FeatureSpec) -> None:
    training, model = validate(TrainingConfig, TRAINING), ModelConfig.model_validate(MODEL)

    planned = plan(training, spec, made.prepared, model)

    assert {table for group in planned.groups for table in group.tables} == {"sku", "shelf"}
    assert all(not group.assumed for group in planned.groups)
    # Both items of each pair are looked up.
    assert planned.groups[0].rows_per_step > PHONES + 3


def test_unknown_item_is_refused_with_the_remedy(made: Made) -> None:
    with pytest.raises(UserError, match=r"^sku: 'phone-99' is not in the catalogue; name an item"):
        made.recommender.recommend(sku="phone-99")


def test_data_without_pairs_are_refused_before_training(
    made: Made, spec: FeatureSpec, tmp_path: Path
) -> None:
    prepared = prepare(write_phone_shop(tmp_path, examples=0), spec, tmp_path / "prepare")

    with pytest.raises(UserError, match=r"^model.template: .*ItemToItem learns from pairs, and no"):
        train(
            validate(TrainingConfig, TRAINING),
            ModelConfig.model_validate(MODEL),
            spec,
            prepared,
            tmp_path / "train",
        )
    assert not PreparedData(prepared.path).path.joinpath("item_queries").exists()
