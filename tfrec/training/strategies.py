"""Which devices train: one, several in one process, or a cluster of processes."""

import tensorflow as tf

from tfrec.training.config import TrainingConfig

_MIN_SHARD_BYTES = 256 * 1024


def make_strategy(config: TrainingConfig) -> tf.distribute.Strategy:
    """Makes the strategy that a config names.

    Args:
      config: the `training` section. For `parameter_server` the environment's `TF_CONFIG` says
        where the other tasks are, and they must be running.

    Returns:
      The strategy; variables made in its scope live where it wants them.
    """
    if config.strategy == "single":
        return tf.distribute.get_strategy()
    if config.strategy == "mirrored":
        return _mirrored(config.replicas)
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    partitioner = tf.distribute.experimental.partitioners.MinSizePartitioner(
        min_shard_bytes=_MIN_SHARD_BYTES, max_shards=config.parameter_servers
    )
    return tf.distribute.ParameterServerStrategy(resolver, variable_partitioner=partitioner)


def _mirrored(replicas: int) -> tf.distribute.MirroredStrategy:
    """Uses GPUs; where there is none, cuts the CPU into logical devices."""
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(replicas)])
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
    )
    # Collectives between logical CPU devices fail on sparse gradients of unequal lengths.
    return tf.distribute.MirroredStrategy(
        [f"CPU:{number}" for number in range(replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
