"""Which devices train: one, several in one process, or processes of a cluster."""

import tensorflow as tf

from tfrec.training.config import TrainingConfig

_MIN_SHARDED_ROWS = 4096


def make_strategy(config: TrainingConfig) -> tf.distribute.Strategy:
    """Makes the strategy that a config names.

    Args:
      config: the `training` section. For `parameter_server` and `multi_worker_mirrored` the
        environment's `TF_CONFIG` says where the other tasks are, and they must be running.

    Returns:
      The strategy; variables made in its scope live where it wants them.
    """
    if config.strategy == "single":
        return tf.distribute.get_strategy()
    if config.strategy == "mirrored":
        return _mirrored(config.replicas)
    if config.strategy == "multi_worker_mirrored":
        return tf.distribute.MultiWorkerMirroredStrategy()
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    servers = config.parameter_servers
    return tf.distribute.ParameterServerStrategy(
        resolver, variable_partitioner=lambda shape, dtype: shards(shape, servers)
    )


def leads(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process keeps what a run leaves; others that train in step only compute it."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    return strategy.cluster_resolver.task_id == 0


def steps_per_dispatch(config: TrainingConfig) -> int:
    """Steps that go into one call of TensorFlow."""
    # Processes exchange as many rows as are in a batch, and in a loop of TensorFlow they would have
    # to be as many in each round.
    return 1 if config.strategy == "multi_worker_mirrored" else config.steps_per_dispatch


def shards(shape: tf.TensorShape, servers: int) -> list[int]:
    """Cuts tables, and optimiser state of as many rows, over all servers.

    The weights of dense layers have few rows and stay whole.

    Args:
      shape: of a variable.
      servers: number of parameter servers.

    Returns:
      Parts along each axis, as a variable partitioner does.
    """
    parts = servers if shape[0] >= _MIN_SHARDED_ROWS else 1
    return [parts] + [1] * (shape.rank - 1)


def _mirrored(replicas: int) -> tf.distribute.MirroredStrategy:
    """Uses GPUs; where there is none, cuts the CPU into logical devices.

    The default, collectives, fails on sparse gradients of unequal lengths.
    """
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.MirroredStrategy(
            [f"GPU:{number}" for number in range(replicas)],
            cross_device_ops=tf.distribute.NcclAllReduce(),
        )
    (cpu, *_) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
    )
    return tf.distribute.MirroredStrategy(
        [f"CPU:{number}" for number in range(replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
