"""a trained model + the test window -> measurements, with the baselines beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
import tensorflow as tf

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.interaction_reader import read_interactions
from tfrec.data.prepared import TEST, TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.blessing import Blessed, Figures, Verdict, figures_of, judge, settle
from tfrec.evaluation.catalogue_ranker import CatalogueRanker
from tfrec.evaluation.config import EvaluationConfig
from tfrec.evaluation.embedding_ranker import EmbeddingRanker
from tfrec.evaluation.evaluator import evaluate as measure
from tfrec.evaluation.measures import Items
from tfrec.evaluation.predictions import measure_predictions, metrics_of
from tfrec.evaluation.report import Cost, Gathering, IndexChoice, render
from tfrec.evaluation.slices import slice_names
from tfrec.features.parsing import LABEL
from tfrec.models.baselines import BASELINES
from tfrec.models.closed_form import HistoryRanker
from tfrec.models.ranker import Ranker
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.index import ItemIndex
from tfrec.stages.reporter import Reporter
from tfrec.stages.served_figures import newest_figures
from tfrec.stages.train import TrainedModel

MODEL = "model"
_BLESSED = "blessed.json"


class EvaluationArtifact(Artifact):
    """Measurements of a model and its baselines; the manifest's summary holds the means."""

    @property
    def values(self) -> Path:
        """Parquet table of every shopper's values; see `Evaluation.table`."""
        return self.path / "values.parquet"

    @property
    def report(self) -> Path:
        """The figures as a page for people."""
        return self.path / "report.html"

    @property
    def verdict(self) -> Verdict:
        """Whether the model may be pushed, by the config's rules."""
        return Verdict.model_validate(self.manifest.summary["blessing"])

    @property
    def figures(self) -> Figures:
        """The model's figures."""
        return figures_of(self.manifest.summary)[MODEL]


def evaluate(
    config: EvaluationConfig,
    prepared: Artifact,
    trained: TrainedModel,
    indexed: ItemIndex,
    output: Path,
    reporter: Reporter | None = None,
    part: str = TEST,
    page: bool = True,
    served: Path | None = None,
) -> EvaluationArtifact:
    """Measures the model and its baselines on the shoppers of the test window.

    Args:
      config: the `evaluation` section.
      prepared: prepared data.
      trained: the model.
      indexed: the catalogue's vectors.
      output: directory of the artefact.
      reporter: hears of the steps.
      part: the window to measure on; `validation` where the figures choose between models.
      page: whether to draw the report, which takes longer than ranking for few shoppers.
      served: the model's directory below the model root: the figures of its newest version that is
        not this very model are then what a rule calls `last`, and not those of the model that was
        blessed last beside `output`.

    Returns:
      The artefact; its summary is that of `Evaluation.summary`.

    Raises:
      UserError: if the protocol does not fit the catalogue or the queries, or a rule the model.
    """
    reporter = reporter or Reporter()
    blessed = Blessed(output.with_name(_BLESSED))
    before = None
    if config.bless:
        judged = trained.manifest.id
        before = newest_figures(served, judged) if served else blessed.before(judged)

    def make(directory: Path) -> dict[str, Any]:
        data = PreparedData(prepared.path)
        queries = QuerySet.read(data.queries(part, trained.queries))
        embeddings = indexed.embeddings()
        model = tf.saved_model.load(str(trained.saved_model))
        counts = data.item_counts(TRAIN)
        names, tasks = slice_names(config, queries, counts), _metrics_by_task(trained, prepared)
        rules = settle(config.bless, names, tasks, before)
        rankers: dict[str, Ranker] = {MODEL: _ranker(model, embeddings)}
        rankers |= _baselines(config, prepared, reporter)
        items = Items(counts, embeddings, _categories(data, config.categories))

        gathering = Gathering(config, items, queries, Catalogue(data.catalogue))

        def progress(name: str, done: int, total: int) -> None:
            reporter.progress(f"ranking for each shopper: {name}", done, total)

        found = measure(rankers, queries, items, config, progress, gathering.add_lists)
        pa.parquet.write_table(found.table(), EvaluationArtifact(directory).values)
        reporter.step("intervals and comparisons")
        summary = found.summary() | _predictions(model, trained, prepared, part, gathering)
        verdict = judge(rules, figures_of(summary), before, MODEL)
        summary["blessing"] = verdict.model_dump(mode="json")
        if page:
            reporter.step("report")
            costs = [_cost(artifact) for artifact in (prepared, trained, indexed)]
            told = trained.manifest.summary
            choice = IndexChoice.read(indexed.manifest.config, indexed.manifest.summary)
            html = render(summary, gathering, config, told, costs, part, choice)
            EvaluationArtifact(directory).report.write_text(html, "utf-8", "backslashreplace")
        return summary

    inputs = {"prepare": prepared.manifest.id, "index": indexed.manifest.id, "part": part}
    if before is not None:
        inputs["blessed_before"] = json.dumps(before, sort_keys=True)
    if not page:
        inputs["page"] = "none"
    made = EvaluationArtifact(
        produce("evaluate", config.model_dump(mode="json"), inputs, output, make).path
    )
    if config.bless and made.verdict.blessed and not served:
        blessed.bless(trained.manifest.id, made.figures)
    return made


def _ranker(model: tf.Module, embeddings: np.ndarray | None) -> Ranker:
    return CatalogueRanker(model) if embeddings is None else EmbeddingRanker(model, embeddings)


def _baselines(
    config: EvaluationConfig, prepared: Artifact, reporter: Reporter
) -> dict[str, Ranker]:
    """Fits the baselines on the training events."""
    if not config.baselines:
        return {}
    data = validate(DataConfig, prepared.manifest.config["data"], "data")
    interactions = read_interactions(PreparedData(prepared.path), data)
    rankers: dict[str, Ranker] = {}
    for name, settings in config.baselines.items():
        reporter.step(f"fitting {name}")
        kind = BASELINES[name]
        fitted = kind(kind.Settings.model_validate(settings))
        fitted.fit(interactions)
        rankers[name] = HistoryRanker(fitted, interactions.n_items)
    return rankers


def _tasks(trained: TrainedModel) -> dict[str, str]:
    """A ranker's tasks with the columns of their labels; other models have none."""
    return trained.manifest.summary.get("tasks", {})


def _shopper(prepared: Artifact) -> str | None:
    """The feature that says whose an example is, if there is one."""
    config = prepared.manifest.config
    user = config["data"]["events"][0]["user"]
    return user if config["features"].get(user, {}).get("kind") == "categorical" else None


def _metrics_by_task(trained: TrainedModel, prepared: Artifact) -> dict[str, tuple[str, ...]]:
    tasks = _tasks(trained)
    grouped = bool(tasks) and _shopper(prepared) is not None
    return {task: metrics_of(column, grouped) for task, column in tasks.items()}


def _predictions(
    model: tf.Module, trained: TrainedModel, prepared: Artifact, part: str, gathering: Gathering
) -> dict[str, dict[str, dict[str, float]]]:
    """How well a ranker predicts the labels of a part; nothing for other models."""
    tasks = _tasks(trained)
    if not tasks:
        return {}
    labelled = all(column.startswith(LABEL) for column in tasks.values())
    data = PreparedData(prepared.path)
    files = data.example_files(part, "labelled" if labelled else "events")
    shopper, listener = _shopper(prepared), gathering.add_predictions
    return {"predictions": measure_predictions(model, files.folder, tasks, shopper, listener)}


def _cost(artifact: Artifact) -> Cost:
    manifest = artifact.manifest
    return Cost(manifest.stage, manifest.seconds, manifest.peak_memory_bytes)


def _categories(data: PreparedData, feature: str | None) -> np.ndarray | None:
    """Numbers that tell the values of an item feature apart: `[items]`, one for missing."""
    if feature is None:
        return None
    table = Catalogue(data.catalogue).table
    features = [name for name in table.column_names if not name.startswith("_")]
    if feature not in features:
        raise UserError(
            f"evaluation.categories: {feature!r} is no feature of the catalogue; known: "
            f"{', '.join(features) or 'none'}"
        )
    column = table[feature].combine_chunks()
    if pa.types.is_nested(column.type):
        raise UserError(
            f"evaluation.categories: {feature} holds lists; name a feature with one value"
        )
    return pc.fill_null(column.dictionary_encode().indices, -1).to_numpy()
