"""The mean of a number over steps."""

import tensorflow as tf


class RunningMean(tf.Module):
    """A mean that any thread of any process may read.

    A metric of Keras lies in parts on the replicas, and reading it takes all of them at once.

    Attributes:
      count: number of values since the last reset, float64.
    """

    def __init__(self, name: str) -> None:
        """Starts with nothing."""
        super().__init__(name)
        self._total, self.count = (
            tf.Variable(
                tf.zeros([], tf.float64),
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )
            for _ in range(2)
        )

    def update_state(self, value: tf.Tensor) -> None:
        """Takes in the value of a step, a scalar that all replicas have alike."""
        self._total.assign_add(tf.cast(value, tf.float64))
        self.count.assign_add(tf.ones([], tf.float64))

    def result(self) -> tf.Tensor:
        """The mean since the last reset, float64; 0 before the first value."""
        return tf.math.divide_no_nan(self._total, self.count)

    def reset_state(self) -> None:
        """Starts anew."""
        for variable in (self._total, self.count):
            variable.assign(tf.zeros([], tf.float64))
