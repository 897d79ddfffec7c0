"""A program that trains the toy model on a worker of a parameter server that has several replicas.

    python replicas_of_worker.py REPLICAS STEPS OUTPUT.npz

TensorFlow takes a worker's GPUs for its replicas. Where there is none, parts of its CPU stand in.
"""

import os
import sys

import numpy as np
import tensorflow as tf
from tensorflow.python.distribute.parameter_server_strategy_v2 import (
    ParameterServerStrategyV2Extended,
)
from toy_model import Batch, make_batch, make_model

from tfrec.training.config import TrainingConfig
from tfrec.training.ports import reserve_port
from tfrec.training.step import WORKER, make_step

BATCH = 48


def main(replicas: int, steps: int, output: str) -> None:
    strategy, servers = _cluster(replicas)
    assert strategy.num_replicas_in_sync == replicas
    config = TrainingConfig(strategy="parameter_server", workers=2, batch_size=BATCH)
    with strategy.scope():
        step = make_step(make_model(optimizers=config.optimizers), config)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    batches = coordinator.create_per_worker_dataset(
        lambda: strategy.distribute_datasets_from_function(lambda _: _parts(replicas, steps))
    )

    @tf.function(autograph=False)
    def train(parts: object) -> None:
        strategy.run(step.train_step, [next(parts)])

    parts, losses = iter(batches), []
    for _ in range(steps):
        step.mean_loss.reset_state()
        coordinator.schedule(train, [parts])
        coordinator.join()
        losses.append(step.mean_loss.result().numpy())
    weights = {f"weight {place}": w.numpy() for place, w in enumerate(step.model.weights)}
    np.savez(output, losses=losses, worker_steps=step.worker_steps.numpy(), **weights)
    del servers


def _cluster(
    replicas: int,
) -> tuple[tf.distribute.ParameterServerStrategy, list[tf.distribute.Server]]:
    devices = tuple(f"/device:CPU:{number}" for number in range(replicas))
    ParameterServerStrategyV2Extended._set_num_gpus = lambda self: setattr(
        self, "_num_gpus_per_worker", replicas
    )
    ParameterServerStrategyV2Extended.worker_devices = property(lambda self: devices)
    tasks = ("worker", "ps")
    cluster = tf.train.ClusterSpec({task: [f"127.0.0.1:{reserve_port()}"] for task in tasks})
    split = tf.compat.v1.ConfigProto(device_count={"CPU": replicas})
    servers = [tf.distribute.Server(cluster, task, 0, "grpc", split) for task in tasks]
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, rpc_layer="grpc")
    return tf.distribute.ParameterServerStrategy(resolver), servers


def _parts(replicas: int, steps: int) -> tf.data.Dataset:
    """Batches, each in parts for the replicas that follow each other."""
    size, parts = BATCH // replicas, []
    for seed in range(steps):
        batch: Batch = {**make_batch(BATCH, seed), WORKER: tf.ones([BATCH], tf.int64)}
        for first in range(0, BATCH, size):
            part = {name: column[first : first + size] for name, column in batch.items()}
            parts.append(tf.data.Dataset.from_tensors({**part, WORKER: part[WORKER][0]}))
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.concatenate(part)
    return whole


if __name__ == "__main__":
    replicas, steps, output = sys.argv[1:]
    main(int(replicas), int(steps), output)
    # TensorFlow's servers cannot be stopped.
    os._exit(0)
