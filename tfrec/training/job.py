"""What a training process needs to know: the same file for every task of a cluster."""

from pathlib import Path

import numpy as np
import tensorflow_transform as tft

from tfrec.config import Section
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.features import FeatureSpec
from tfrec.features.plan import embedding_plan
from tfrec.models.template import ModelConfig, load_template
from tfrec.models.two_tower import ModelInputs, TwoTower
from tfrec.training.config import TrainingConfig


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

    def build_model(self) -> TwoTower:
        """Makes the template and all its variables."""
        template, settings = load_template(self.model)
        transform = tft.TFTransformOutput(str(self.data.transform))
        counts = self.data.item_counts(TRAIN)
        inputs = ModelInputs(
            spec=self.features,
            tables=embedding_plan(self.features, transform),
            item_share=(counts / counts.sum()).astype(np.float32),
        )
        model = template(inputs, settings)
        model.make_variables()
        return model

    def training_examples(self) -> int:
        """Counts the training examples."""
        return self.data.parts[TRAIN].examples
