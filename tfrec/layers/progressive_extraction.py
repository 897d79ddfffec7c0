"""Levels of experts, some shared by all tasks and some a task's own."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras

from tfrec.layers.mlp import mlp
from tfrec.layers.multi_gate_experts import mixed

SHARED = "_shared"


class ExtractionLevel(tf_keras.layers.Layer):
    """One level of experts: a task mixes its own and the shared ones.

        output of task k = mix_k(own experts of k on x_k, shared experts on x_shared)
        shared output    = mix(the experts of all tasks, and the shared ones)

    where a mix weighs by `softmax(W x)`, with the x of the task, or the shared one.

    Source: Tang et al., Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model for
    Personalized Recommendations, RecSys 2020.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        experts: int,
        hidden: Sequence[int],
        dropout: float = 0.0,
        last: bool = True,
        name: str | None = None,
    ) -> None:
        """Makes experts and gates.

        Args:
          tasks: names of the tasks.
          experts: number of each task's own experts, and of the shared ones.
          hidden: units of each expert's layers.
          dropout: share of their activations dropped in training.
          last: whether no level follows, which would need the shared output.
          name: of the layer.
        """
        super().__init__(name=name)
        self._tasks = tuple(tasks)
        self._experts = {
            owner: [mlp(hidden, dropout=dropout) for _ in range(experts)]
            for owner in (*tasks, SHARED)
        }
        self._gates = {task: tf_keras.layers.Dense(2 * experts, use_bias=False) for task in tasks}
        if not last:
            every = (len(tasks) + 1) * experts
            self._gates[SHARED] = tf_keras.layers.Dense(every, use_bias=False)

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        """Maps `[batch, any]` of each task and of `SHARED` to `[batch, hidden[-1]]` of the same.

        The last level has no shared output.
        """
        made = {
            owner: [expert(inputs[owner], training=training) for expert in experts]
            for owner, experts in self._experts.items()
        }
        taken = {task: [*made[task], *made[SHARED]] for task in self._tasks}
        taken[SHARED] = [output for outputs in made.values() for output in outputs]
        return {
            owner: mixed(taken[owner], gate(inputs[owner])) for owner, gate in self._gates.items()
        }


class ProgressiveExtraction(tf_keras.layers.Layer):
    """Levels of experts on top of each other; see `ExtractionLevel`."""

    def __init__(
        self,
        tasks: Sequence[str],
        levels: int,
        experts: int,
        hidden: Sequence[int],
        dropout: float = 0.0,
        name: str | None = None,
    ) -> None:
        """Makes `levels` of them; the other arguments are those of a level."""
        super().__init__(name=name)
        self._owners = (*tasks, SHARED)
        self._levels = [
            ExtractionLevel(tasks, experts, hidden, dropout, last=level == levels - 1)
            for level in range(levels)
        ]

    def call(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """Maps `[batch, any]` to task -> `[batch, hidden[-1]]`."""
        values = dict.fromkeys(self._owners, inputs)
        for level in self._levels:
            values = level(values, training=training)
        return values
