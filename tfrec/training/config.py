"""The `training` section of a config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfrec.config import Duration, Section
from tfrec.embeddings.optimizers.config import (
    AdagradSettings,
    OptimizerSettings,
    RowwiseAdagradSettings,
)

Count = Annotated[int, Field(gt=0)]


class Optimizers(Section):
    """Which optimiser moves what.

    Attributes:
      tables: of embedding tables.
      dense: of all other weights.
      features: name of a feature -> optimiser of its table, where that is another one.
    """

    tables: OptimizerSettings = RowwiseAdagradSettings()
    dense: OptimizerSettings = AdagradSettings(kind="adagrad")
    features: Mapping[str, OptimizerSettings] = Field(default_factory=dict)

    def of_table(self, name: str) -> OptimizerSettings:
        """The optimiser of a table."""
        return self.features.get(name, self.tables)


class EarlyStopping(Section):
    """Ends training when the validation loss no longer falls; the best epoch is kept.

    Attributes:
      patience: epochs without a lower loss before it ends.
    """

    patience: Count = 1


class Teacher(Section):
    """A larger ranker, trained before, whose predictions a ranker learns beside the labels.

        loss = (1 - weight) * loss of the labels + weight * loss against the teacher

    Attributes:
      model: directory of its training artefact, of the same prepared data.
      weight: the teacher's share of the loss.
      temperature: divides the logits of both before they are compared; see `losses.distillation`.
    """

    model: Path
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class TrainingConfig(Section):
    """The `training` section.

    Attributes:
      strategy: `parameter_server` trains asynchronously on a cluster of processes,
        `multi_worker_mirrored` in step on several processes, `mirrored` in step on several devices
        of one process, `single` on one.
      workers: processes that compute gradients (`parameter_server`, `multi_worker_mirrored`).
      parameter_servers: processes that hold the tables (`parameter_server`).
      replicas: devices to use (`mirrored`): GPUs, or logical devices of the CPU without them.
      evaluator: whether one more process measures every checkpoint on the validation part.
      batch_size: examples per step, of all replicas together.
      epochs: times to go through the training examples.
      optimizers: which optimiser moves what.
      precision: of the towers' arithmetic; tables and weights stay float32.
      accumulation: parts that a batch is worked off in, to save memory; an example's negatives come
        from its own part.
      steps_per_dispatch: steps that a worker makes for one call of the coordinator.
      checkpoint_every: time between checkpoints; one follows every epoch besides, and with
        `multi_worker_mirrored` no other.
      early_stopping: when to end before the last epoch; never by default.
      warm_start: directory of an earlier run's training artefact to take tables, weights and
        optimiser state from; categories keep their rows by name.
      worker_timeout: time without a sign of life after which a process is taken for hung.
      restarts: how often in a row, without progress, a process is started again.
      memory_per_server: bytes that a parameter server may hold; all that the machine has, shared by
        the servers on it, by default.
      recency_half_life: age at which an example counts half as much as the newest; never by
        default.
      repeat_weight: how much an example counts whose item the shopper had chosen before; below 1
        the model learns rather what shoppers take up than what they keep buying.
      teacher: a trained ranker that a ranker learns from beside the labels; none by default.
      seed: of initial values and of the order in which a process reads its examples.
    """

    strategy: Literal["single", "mirrored", "multi_worker_mirrored", "parameter_server"] = (
        "parameter_server"
    )
    workers: Count = 2
    parameter_servers: Count = 2
    replicas: Count = 2
    evaluator: bool = False
    batch_size: Count = 4096
    epochs: Count = 2
    optimizers: Optimizers = Optimizers()
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    accumulation: Count = 1
    steps_per_dispatch: Count = 5
    checkpoint_every: Duration = 600
    early_stopping: EarlyStopping | None = None
    warm_start: Path | None = None
    worker_timeout: Duration = 600
    restarts: Annotated[int, Field(ge=0)] = 3
    memory_per_server: Count | None = None
    recency_half_life: Duration | None = None
    repeat_weight: Annotated[float, Field(ge=0)] = 1.0
    teacher: Teacher | None = None
    seed: int = 0

    @property
    def replicas_in_step(self) -> int:
        """Replicas that share each batch."""
        in_step = {"mirrored": self.replicas, "multi_worker_mirrored": self.workers}
        return in_step.get(self.strategy, 1)

    @model_validator(mode="after")
    def _batch_can_be_shared(self) -> "TrainingConfig":
        parts = self.replicas_in_step * self.accumulation
        if self.batch_size < parts:
            raise ValueError(
                f"batch_size {self.batch_size} is less than the {parts} parts that "
                f"{self.replicas_in_step} replicas and accumulation {self.accumulation} cut it "
                "into; raise it"
            )
        if self.batch_size % parts:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be cut into the {parts} equal parts that "
                f"{self.replicas_in_step} replicas and accumulation {self.accumulation} make; "
                f"take {self.batch_size // parts * parts}"
            )
        if self.precision == "mixed_float16" and self.strategy == "parameter_server":
            raise ValueError(
                "precision mixed_float16 needs its loss scaled, which parameter servers cannot; "
                "take mixed_bfloat16"
            )
        return self
