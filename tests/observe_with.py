"""Observes one stream of ids with a vocabulary under a strategy and with one outside; run alone.

TensorFlow takes logical devices and a cluster only before it is first used, so a test starts this
as a process: `python observe_with.py mirrored` or `parameter_server`. It fails where they differ.
"""

import os
import sys
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfrec.embeddings.dynamic_vocabulary import DynamicVocabulary
from tfrec.features.plan import Dynamic, Table
from tfrec.features.spec import EvictByAge, EvictLeastUsed
from tfrec.training.ports import reserve_port

BATCHES, BATCH = 40, 30
Run = Callable[[tf.Tensor, tf.Tensor], list[np.ndarray]]


def compare(strategy: tf.distribute.Strategy, run: Callable[[DynamicVocabulary], Run]) -> None:
    """Compares what is returned after each batch, and what is found at the end."""
    for evict in (EvictByAge(by="age", after=10), EvictLeastUsed(by="least_used")):
        table = Table(61, 4, unknown_rows=1, dynamic=Dynamic(min_count=2, evict=evict))
        with strategy.scope():
            vocabulary = DynamicVocabulary(table)
        alone = DynamicVocabulary(table)
        observe = run(vocabulary)
        random = np.random.default_rng(0)
        ids = tf.constant(random.integers(2**63 - 1, size=200))
        for batch in range(BATCHES):
            chosen = tf.gather(ids, random.integers(200, size=BATCH))
            times = tf.constant(random.integers(batch, batch + 50, size=BATCH))
            expected = alone.observe(chosen, times)
            for taken in observe(chosen, times):
                np.testing.assert_array_equal(taken, expected)
        for found in strategy.experimental_local_results(strategy.run(vocabulary, (ids,))):
            np.testing.assert_array_equal(found, alone(ids))
        assert len(np.unique(alone(ids))) > 50, "nothing was compared"


def mirrored() -> None:
    """Two replicas, with half a batch each, keep the same table."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )

    def run(vocabulary: DynamicVocabulary) -> Run:
        @tf.function
        def observe(ids: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
            return strategy.run(vocabulary.observe, (ids, times))

        def of_replicas(column: tf.Tensor) -> tf.Tensor:
            halves = tf.split(column, 2)
            return strategy.experimental_distribute_values_from_function(
                lambda context: halves[context.replica_id_in_sync_group]
            )

        return lambda ids, times: strategy.experimental_local_results(
            observe(of_replicas(ids), of_replicas(times))
        )

    compare(strategy, run)


def parameter_server() -> None:
    """Two servers hold half of each variable."""
    addresses = {
        "worker": [f"127.0.0.1:{reserve_port()}"],
        "ps": [f"127.0.0.1:{reserve_port()}" for _ in range(2)],
    }
    spec = tf.train.ClusterSpec(addresses)
    servers = [
        tf.distribute.Server(spec, job, index, protocol="grpc")
        for job, tasks in addresses.items()
        for index in range(len(tasks))
    ]
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec, rpc_layer="grpc")
    partitioner = tf.distribute.experimental.partitioners.FixedShardsPartitioner(2)
    strategy = tf.distribute.ParameterServerStrategy(resolver, partitioner)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)

    def run(vocabulary: DynamicVocabulary) -> Run:
        devices = {weight.device for weight in vocabulary.weights if weight.shape.rank}
        assert len(devices) == 2, devices
        observe = tf.function(vocabulary.observe)
        return lambda ids, times: [coordinator.schedule(observe, (ids, times)).fetch()]

    compare(strategy, run)
    del servers


if __name__ == "__main__":
    {"mirrored": mirrored, "parameter_server": parameter_server}[sys.argv[1]]()
    # TensorFlow's servers cannot be stopped.
    os._exit(0)
