"""Trains on two replicas and on one device; a program, because devices are cut at its start."""

import numpy as np
import tensorflow as tf

from tfrec.embeddings.optimizers.grouped import GroupedOptimizer
from tfrec.embeddings.optimizers.lazy_adam import LazyAdam
from tfrec.embeddings.optimizers.rowwise_adagrad import RowwiseAdagrad

ROWS = [4, 1, 0, 2, 4, 3]
TARGETS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)


def train(strategy: tf.distribute.Strategy, parts: list[list[int]]) -> list[np.ndarray]:
    """Takes five steps, a replica on each part of the batch; gives the table and all else."""
    with strategy.scope():
        table, weights = tf.Variable(tf.ones([6, 2])), tf.Variable(tf.eye(2))
        rowwise = RowwiseAdagrad(0.1, clip_norm=0.5, weight_decay=0.1)
        optimizer = GroupedOptimizer({"rowwise": (rowwise, [table])}, LazyAdam(0.1))
        optimizer.build([table, weights])

    def step() -> None:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        part = tf.gather(parts, replica)
        distinct, position = tf.unique(tf.gather(ROWS, part))
        with tf.GradientTape() as tape:
            found = tf.gather(tf.gather(table, distinct), position) @ weights
            loss = tf.reduce_sum((found - tf.gather(TARGETS, part)) ** 2)
        gradients = tape.gradient(loss, [table, weights])
        optimizer.apply_gradients(zip(gradients, [table, weights], strict=True))

    run = tf.function(lambda: strategy.run(step))
    for _ in range(5):
        run()
    return [variable.numpy() for variable in (table, weights, *optimizer.variables)]


def main() -> None:
    """Compares them."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    together = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    two = train(together, [[0, 1, 2], [3, 4, 5]])
    one = train(tf.distribute.get_strategy(), [[0, 1, 2, 3, 4, 5]])
    for of_two, of_one in zip(two, one, strict=True):
        np.testing.assert_allclose(of_two, of_one, rtol=1e-5)
    assert not np.allclose(two[0], 1)
    print("replicas agree with one device")


if __name__ == "__main__":
    main()
