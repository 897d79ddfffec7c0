"""The `training` section of a config."""

from typing import Annotated, Literal

from pydantic import Field

from tfrec.config import Duration, Section

Count = Annotated[int, Field(gt=0)]


class TrainingConfig(Section):
    """The `training` section.

    Attributes:
      strategy: `parameter_server` trains asynchronously on a cluster of processes, `mirrored` in
        step on several devices of one process, `single` on one.
      workers: processes that compute gradients (`parameter_server`).
      parameter_servers: processes that hold the tables (`parameter_server`).
      replicas: devices to use (`mirrored`): GPUs, or logical devices of the CPU without them.
      batch_size: examples per step, of all replicas together.
      epochs: times to go through the training examples.
      learning_rate: of Adagrad.
      steps_per_dispatch: steps that a worker makes for one call of the coordinator.
      recency_half_life: age at which an example counts half as much as the newest; never by
        default.
      repeat_weight: how much an example counts whose item the shopper had chosen before; below 1
        the model learns rather what shoppers take up than what they keep buying.
      seed: of initial values and of the order in which a process reads its examples.
    """

    strategy: Literal["single", "mirrored", "parameter_server"] = "parameter_server"
    workers: Count = 2
    parameter_servers: Count = 2
    replicas: Count = 2
    batch_size: Count = 4096
    epochs: Count = 2
    learning_rate: Annotated[float, Field(gt=0)] = 0.05
    steps_per_dispatch: Count = 5
    recency_half_life: Duration | None = None
    repeat_weight: Annotated[float, Field(ge=0)] = 1.0
    seed: int = 0
