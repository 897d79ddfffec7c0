"""What a training process needs to know: the same file for every task of a cluster."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic
import tensorflow_transform as tft

from tfrec.config import Section
from tfrec.data.prepared import TRAIN, ExampleFiles, ExampleKind, PreparedData
from tfrec.data.row_counts import count_rows
from tfrec.embeddings.groups import group_tables
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import taught
from tfrec.features.plan import Table, embedding_plan
from tfrec.links import link
from tfrec.models.base import ModelInputs, Template
from tfrec.models.ranking import RankingTemplate
from tfrec.models.template import ModelConfig, load_template
from tfrec.training.config import TrainingConfig

JOB_FILE = "job.json"
"""Where a job is in its output directory."""

_REMEDIES = {
    "events": "events to data.events",
    "labelled": "data.labels, e.g. {kind: negatives}",
    "lists": "lists: true to data.labels",
    "sequences": "data.sequences: true",
    "pairs": "data.pairs, e.g. {within: basket}",
}


class TrainingJob(Section):
    """One training run.

    Attributes:
      features: the features.
      model: which template, and its settings.
      training: how to train it.
      prepared: directory of prepared data.
      output: directory for checkpoints and the log.
    """

    features: FeatureSpec
    model: ModelConfig
    training: TrainingConfig
    prepared: Path
    output: Path

    @property
    def data(self) -> PreparedData:
        """The prepared data."""
        return PreparedData(self.prepared)

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints."""
        return self.output / "checkpoints"

    @property
    def log(self) -> Path:
        """One line of JSON per epoch."""
        return self.output / "training_log.jsonl"

    @property
    def vocabularies(self) -> Path:
        """Directory in which `write` keeps the fitted vocabularies: a file a feature."""
        return self.output / "vocabularies"

    @property
    def fitted_vocabularies(self) -> dict[str, Path]:
        """Feature -> file of its vocabulary in the prepared data, a line a row of its table."""
        transform = tft.TFTransformOutput(str(self.data.transform))
        return {
            name: Path(transform.vocabulary_file_by_name(name))
            for name in self.features.vocabularies
        }

    @property
    def tables(self) -> dict[str, Table]:
        """Feature -> its embedding table."""
        template, settings = self._template
        embedded = template.embedded(self.features, settings)
        transform = tft.TFTransformOutput(str(self.data.transform))
        return embedding_plan(self.features, transform, embedded)

    @classmethod
    def read(cls, directory: Path) -> "TrainingJob":
        """Reads what `write` has left in a directory, which may have been moved since.

        Raises:
          UserError: if there is no job.
        """
        file = directory / JOB_FILE
        try:
            job = cls.model_validate_json(file.read_text())
        except OSError:
            raise UserError(f"{file}: not there; name the directory of a training run") from None
        except pydantic.ValidationError:
            raise UserError(f"{file}: not as this version of tfrec writes it; train anew") from None
        return job.model_copy(update={"output": directory})

    def write(self) -> Path:
        """Writes down in the output directory what a later run can start from without the data.

        Returns:
          The file that the tasks read.
        """
        self.vocabularies.mkdir(exist_ok=True)
        for name, vocabulary in self.fitted_vocabularies.items():
            link(vocabulary, self.vocabularies / name)
        file = self.output / JOB_FILE
        whole = file.with_suffix(".whole")  # tasks of other machines may be waiting for it
        whole.write_text(self.model_dump_json(indent=2))
        return whole.replace(file)

    def _row_counts(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        if not names:
            return {}
        rows = {name: self.tables[self.features.table_of(name)].rows for name in names}
        return count_rows(self.example_files(TRAIN), self.features, rows)

    def build_model(self) -> Template:
        """Makes the template and all its variables."""
        template, settings = self._template
        tables = self.tables
        is_of_pairs = self.kind == "pairs"
        counts = self.data.target_counts(TRAIN) if is_of_pairs else self.data.item_counts(TRAIN)
        inputs = ModelInputs(
            spec=self.features,
            tables=tables,
            groups=group_tables(tables, self.training.optimizers.of_table),
            # An item without an example counts as if it had one: it may turn up in validation.
            item_share=(np.maximum(counts, 1) / counts.sum()).astype(np.float32),
            row_counts=self._row_counts(template.counted(self.features, settings)),
        )
        model = template(inputs, settings)
        if isinstance(model, RankingTemplate):
            model.teacher = self.training.teacher
        model.make_variables()
        return model

    @property
    def _template(self) -> tuple[type[Template], Template.Settings]:
        template, settings = load_template(self.model)
        assert issubclass(template, Template)
        assert isinstance(settings, Template.Settings)
        return template, settings

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of labels that the template learns from."""
        template, settings = self._template
        return template.labels(settings)

    @property
    def kind(self) -> ExampleKind:
        """The kind of Examples that the template learns from."""
        template, settings = self._template
        return template.reads(settings)

    @property
    def taught(self) -> tuple[str, ...]:
        """The columns of what a teacher predicts."""
        template, settings = self._template
        if self.training.teacher is None or not issubclass(template, RankingTemplate):
            return ()
        return tuple(map(taught, template.columns(settings)))

    @property
    def training_files(self) -> ExampleFiles:
        """The files of training Examples; where there is a teacher, with its predictions."""
        found = self.example_files(TRAIN)
        return ExampleFiles(self.output / "taught", found.files) if self.taught else found

    def uniform_items(self, batch_size: int) -> int:
        """The items of the catalogue that a batch brings, drawn uniformly."""
        template, settings = self._template
        return template.uniform_items(settings, batch_size)

    def example_files(self, part: str) -> ExampleFiles:
        """The files of Examples that the template learns from.

        Raises:
          UserError: if none of their kind were prepared.
        """
        found = self.data.example_files(part, self.kind)
        if part == TRAIN and not found.files:
            raise UserError(
                f"model.template: {self.model.template} learns from {self.kind}, and none were "
                f"prepared; add {_REMEDIES[self.kind]}"
            )
        return found
