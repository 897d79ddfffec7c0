"""One config file, and the stages in their order."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfrec.config import Section, override, read_yaml, validate
from tfrec.data.config import DataConfig
from tfrec.data.erased import Erased
from tfrec.deploy.pipeline_config import PipelineConfig
from tfrec.errors import UserError
from tfrec.evaluation.blessing import Figures, NotBlessedError
from tfrec.evaluation.config import EvaluationConfig
from tfrec.features import FeatureSpec
from tfrec.models.base import Template
from tfrec.models.template import ModelConfig, load_template, reference
from tfrec.retrieval.config import IndexConfig
from tfrec.retrieval.reranking import Rules
from tfrec.service.config import ServiceConfig
from tfrec.serving.changes import CHANGES_FILE, newest
from tfrec.serving.client import Client
from tfrec.serving.config import ServingConfig
from tfrec.stages.artifact import Artifact
from tfrec.stages.evaluate import EvaluationArtifact, evaluate
from tfrec.stages.export import ServingBundle, export
from tfrec.stages.index import ItemIndex, index
from tfrec.stages.prepare import prepare
from tfrec.stages.push import push
from tfrec.stages.refresh import Freshness, measure_recall, refresh
from tfrec.stages.reporter import Reporter
from tfrec.stages.train import TrainedModel, train
from tfrec.stages.tune_config import TuningConfig
from tfrec.training.cluster import run_cluster
from tfrec.training.config import TrainingConfig
from tfrec.training.submit import Submitter


class ExperimentConfig(Section):
    """A whole config file.

    Attributes:
      name: of the experiment and of its directory below `runs`.
      runs: directory below which artefacts are kept.
    """

    name: str
    data: DataConfig
    features: FeatureSpec
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    index: IndexConfig = IndexConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    reranking: Rules | None = None
    serving: ServingConfig
    tuning: TuningConfig | None = None
    pipeline: PipelineConfig = PipelineConfig()
    service: ServiceConfig = ServiceConfig()
    runs: Path = Path("runs")


class Experiment:
    """The stages of one config, each making its artefact below `runs/NAME/`.

    Example:
      >>> experiment = tfrec.Experiment.load("configs/complete_journey.yaml")
      >>> experiment.run()

    Attributes:
      config: the validated config.
      resume: whether training must go on with one that was cut short.
      submitter: who has the model trained; processes of this machine by default.
    """

    def __init__(self, config: ExperimentConfig, resume: bool = False) -> None:
        """Takes a config and checks that its template and optimisers can be made."""
        load_template(config.model)
        _check_optimizers(config)
        _check_dynamic(config)
        _check_reranking(config)
        self.config, self.resume = _without_erased(config), resume
        self.submitter: Submitter = run_cluster
        folder = config.runs / config.name
        self.prepared = Artifact(folder / "prepare")
        self.trained = TrainedModel(folder / "train")
        self.item_index = ItemIndex(folder / "index")
        self.evaluation = EvaluationArtifact(folder / "evaluate")
        self.bundle = ServingBundle(folder / "export")

    @property
    def artifacts(self) -> list[Artifact]:
        """The stages' artefacts, in their order."""
        return [self.prepared, self.trained, self.item_index, self.evaluation, self.bundle]

    @classmethod
    def load(
        cls,
        path: str | Path,
        model: type[Template] | None = None,
        overrides: Mapping[str, str] | None = None,
        resume: bool = False,
    ) -> "Experiment":
        """Reads a config file.

        Args:
          path: the YAML file.
          model: a template to use instead of the config's.
          overrides: dotted name -> value as it would be written in YAML.
          resume: whether training must go on with one that was cut short; without it, it starts
            anew where there is none.

        Returns:
          The experiment; nothing is run.

        Raises:
          UserError: one line for everything that is wrong in the config.
        """
        content = override(read_yaml(Path(path)), overrides or {})
        if model is not None:
            content = override(content, {"model.template": reference(model)})
        return cls(validate(ExperimentConfig, content), resume)

    def run(self, reporter: Reporter | None = None) -> Path:
        """Runs all stages; what would come out unchanged is not made again.

        Args:
          reporter: hears of progress.

        Returns:
          The directory of the pushed version.
        """
        reporter = reporter or Reporter()
        for name, stage in STAGES.items():
            reporter.stage(name)
            result = stage(self, reporter)
        assert isinstance(result, Path)
        return result

    def prepare(self, reporter: Reporter | None = None) -> Artifact:
        """Makes the prepared data."""
        config = self.config
        return prepare(config.data, config.features, self.prepared.path, reporter)

    def train(self, reporter: Reporter | None = None) -> TrainedModel:
        """Trains the model on the prepared data."""
        c = self.config
        return train(
            c.training,
            c.model,
            c.features,
            self.prepared,
            self.trained.path,
            reporter,
            self.resume,
            self.submitter,
        )

    def index(self, reporter: Reporter | None = None) -> ItemIndex:
        """Indexes the catalogue."""
        target = self.item_index.path
        return index(self.config.index, self.prepared, self.trained, target, reporter)

    def evaluate(self, reporter: Reporter | None = None) -> EvaluationArtifact:
        """Measures the model and its baselines on the test window."""
        return evaluate(
            self.config.evaluation,
            self.prepared,
            self.trained,
            self.item_index,
            self.evaluation.path,
            reporter,
        )

    def export(self, reporter: Reporter | None = None) -> ServingBundle:
        """Joins model and index into a bundle."""
        return export(
            self.config.serving,
            self.prepared,
            self.trained,
            self.item_index,
            self.bundle.path,
            reporter,
            self.config.reranking,
            self.config.evaluation,
        )

    def push(self, reporter: Reporter | None = None) -> Path:
        """Copies the bundle to the model root.

        Raises:
          NotBlessedError: if the config has rules, and the model breaks one.
        """
        if self.config.evaluation.bless and not self.evaluation.verdict.blessed:
            raise NotBlessedError(
                f"push: the model is not blessed and stays where it is: "
                f"{self.evaluation.verdict.because}"
            )
        figures = self._figures_of(self.bundle.manifest.inputs["index"])
        return push(self.bundle, self.config.serving.root, reporter, figures)

    def freshness(self, client: Client) -> Freshness:
        """Measures how far what a server has came from what was built."""
        serving, promise = self.config.serving, self.config.index.promise
        recall = measure_recall(client, serving.name, self.prepared, self.trained, promise.k)
        built = self._served_index.manifest.summary
        since = built.get("since", self.prepared.began)
        return Freshness(
            recall,
            built["chosen"]["recall"],
            promise.recall,
            len(newest(self._changes, since)),
            serving.live_items,
        )

    def refresh(self, reporter: Reporter | None = None) -> Path:
        """Builds and pushes a version with all that was changed of the served items.

        Returns:
          The version's directory.
        """
        c, parts, target = self.config, (self.prepared, self.trained), self._refreshed.path
        indexed = refresh(c.index, *parts, self.item_index, self._changes, target, reporter)
        target = target.with_name("export")
        bundle = export(c.serving, *parts, indexed, target, reporter, c.reranking, c.evaluation)
        figures = self._figures_of(self.item_index.manifest.id)
        return push(bundle, c.serving.root, reporter, figures)

    def _figures_of(self, index: str) -> Figures | None:
        """Figures of the model behind an index, where it is the one that was measured."""
        made = self.evaluation
        measured = made.path.exists() and made.manifest.inputs["index"] == index
        return made.figures if measured else None

    @property
    def _refreshed(self) -> ItemIndex:
        return ItemIndex(self.config.runs / self.config.name / "refresh" / "index")

    @property
    def _served_index(self) -> ItemIndex:
        """The refreshed index, if it was built of the one there is."""
        refreshed = self._refreshed
        own = refreshed.path.exists() and refreshed.manifest.inputs["index"]
        return refreshed if own == self.item_index.manifest.id else self.item_index

    @property
    def _changes(self) -> Path:
        return self.config.serving.root / self.config.serving.name / CHANGES_FILE


def _without_erased(config: ExperimentConfig) -> ExperimentConfig:
    """Has preparation leave out those whom the config's own service was asked to forget."""
    file = config.service.erased
    if config.data.clean.erased or not file.exists() or not len(Erased.read(file)):
        return config
    clean = config.data.clean.model_copy(update={"erased": file})
    data = config.data.model_copy(update={"clean": clean})
    return config.model_copy(update={"data": data})


def _check_optimizers(config: ExperimentConfig) -> None:
    """Checks that optimisers of their own are for features that have a table of their own."""
    tables = [
        name
        for name, feature in config.features.root.items()
        if getattr(feature, "embedding", None) and config.features.table_of(name) == name
    ]
    for name in config.training.optimizers.features:
        if name not in tables:
            raise UserError(
                f"training.optimizers.features.{name}: has no table of its own; "
                f"name one of {', '.join(tables)}"
            )


def _check_dynamic(config: ExperimentConfig) -> None:
    """Checks that rows given out in training are given out by one process or by servers."""
    if config.training.strategy in ("single", "parameter_server"):
        return
    for name, feature in config.features.root.items():
        if getattr(feature, "lookup", None) == "dynamic":
            raise UserError(
                f"features.{name}.lookup: dynamic needs training.strategy single or "
                f"parameter_server, not {config.training.strategy}"
            )


def _check_reranking(config: ExperimentConfig) -> None:
    """Checks that the history that a rule reads is a feature of queries."""
    history = config.reranking.history if config.reranking else None
    if history is not None and history not in config.features.sequences:
        raise UserError(
            f"reranking.steps: history {history!r} is no feature of kind sequence; those are "
            f"{', '.join(config.features.sequences) or 'none'}"
        )


STAGES: dict[str, Callable[[Experiment, Reporter], Any]] = {
    "prepare": Experiment.prepare,
    "train": Experiment.train,
    "index": Experiment.index,
    "evaluate": Experiment.evaluate,
    "export": Experiment.export,
    "push": Experiment.push,
}
"""The order of the stages, which nothing else knows."""
