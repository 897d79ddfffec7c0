"""Two replicas that estimate how often items come, and one that sees the same batches.

Prints the largest difference between their estimates.
"""

import numpy as np
import tensorflow as tf

from tfrec.losses import StreamingFrequency
from tfrec.losses.replicas import share_candidates

ITEMS, BATCH, STEPS = 20, 8, 50


def main() -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        together = StreamingFrequency(ITEMS)
    alone = StreamingFrequency(ITEMS)

    def update(batch: tf.Tensor) -> None:
        rows, positives = tf.unique(batch)
        together.update(share_candidates(tf.one_hot(rows, ITEMS), rows, positives)[1])

    @tf.function
    def step(parts: tf.distribute.DistributedValues) -> None:
        strategy.run(update, (parts,))

    for batch in np.random.default_rng(0).integers(ITEMS // 2, size=[STEPS, 2, BATCH]):
        parts = strategy.experimental_distribute_values_from_function(
            lambda context, batch=batch: tf.constant(batch[context.replica_id_in_sync_group])
        )
        step(parts)
        alone.update(tf.unique(batch.reshape(-1))[0])

    estimates = (each.chance(tf.range(ITEMS)).numpy() for each in (together, alone))
    print(np.abs(np.subtract(*estimates)).max())


if __name__ == "__main__":
    main()
