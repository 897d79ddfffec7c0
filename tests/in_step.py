"""A program that trains the toy model on batches given by their seeds, with some strategy.

    python in_step.py '{"strategy": "mirrored", "replicas": 2}' STEPS OUTPUT.npz

It is a process of its own, because logical devices must be made before TensorFlow starts.
"""

import json
import sys
from typing import Any

import numpy as np
import tensorflow as tf
from toy_model import Batch, make_batch, make_model

from tfrec.training.config import TrainingConfig
from tfrec.training.step import make_step
from tfrec.training.strategies import make_strategy

BATCH = 48


def main(settings: str, steps: str, output: str) -> None:
    config = TrainingConfig.model_validate({"batch_size": BATCH, **json.loads(settings)})
    strategy = make_strategy(config)
    with strategy.scope():
        step = make_step(make_model(optimizers=config.optimizers), config)

    @tf.function(autograph=False, reduce_retracing=True)
    def train(batch: Batch) -> None:
        strategy.run(step.train_step, [batch])

    losses = []
    for seed in range(int(steps)):
        step.mean_loss.reset_state()
        train(_distributed(strategy, make_batch(BATCH, seed)))
        losses.append(step.mean_loss.result().numpy())
    state = {"losses": np.array(losses)}
    state |= {f"weight {place}": w.numpy() for place, w in enumerate(step.model.weights)}
    state |= {f"slot {place}": v.numpy() for place, v in enumerate(step.optimizer.variables)}
    np.savez(output, **state)


def _distributed(strategy: tf.distribute.Strategy, batch: Batch) -> Any:
    """Gives each replica its part of a batch."""
    part = BATCH // strategy.num_replicas_in_sync

    def of_replica(context: Any) -> Batch:
        first = context.replica_id_in_sync_group * part
        return {name: column[first : first + part] for name, column in batch.items()}

    return strategy.experimental_distribute_values_from_function(of_replica)


if __name__ == "__main__":
    main(*sys.argv[1:])
