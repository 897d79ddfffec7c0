"""An optimiser for each group of tables and one for everything else, as a single one."""

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tf_keras

from tfrec.embeddings.optimizers.sparse import Gradient, SparseOptimizer


class GroupedOptimizer(tf_keras.optimizers.Optimizer):
    """Gives each variable's gradient to the optimiser that the variable belongs to.

    The optimisers count steps together, and each clips, decays and sums its own gradients. In a
    checkpoint they stand under their groups' names.
    """

    def __init__(
        self,
        tables: Mapping[str, tuple[SparseOptimizer, Sequence[tf.Variable]]],
        dense: tf_keras.optimizers.Optimizer,
        name: str = "grouped",
    ) -> None:
        """Joins optimisers that nothing was built with.

        Args:
          tables: group -> its optimiser, one of its own, and its variables: all shards of a table.
          dense: what moves every other variable; its moving averages and XLA stay off.
          name: of the optimiser.
        """
        super().__init__(name, weight_decay=None, jit_compile=False)
        self.tables = {group: optimizer for group, (optimizer, _) in tables.items()}
        self.dense = dense
        for optimizer in self._optimizers():
            optimizer.iterations = self.iterations
        self._owners = self._no_dependency(
            {
                self._var_key(variable): optimizer
                for optimizer, variables in tables.values()
                for variable in variables
            }
        )

    @property
    def learning_rate(self) -> tf.Variable:
        """The dense optimiser's, for callbacks that know a single one."""
        return self.dense.learning_rate

    @property
    def variables(self) -> list[tf.Variable]:
        """The step and the slots of all optimisers."""
        # The first variable of each is its own count of steps, which nobody uses.
        slots = [slot for optimizer in self._optimizers() for slot in optimizer.variables[1:]]
        return [self.iterations, *slots]

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Makes the slots of the variables."""
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        for optimizer in self._optimizers():
            optimizer.build([each for each in var_list if self._owner(each) is optimizer])
        self._built = True

    def update_step(self, gradient: Gradient, variable: tf.Variable) -> None:
        """Moves a variable."""
        self._owner(variable).update_step(gradient, variable)

    def _internal_apply_gradients(
        self, grads_and_vars: Sequence[tuple[Gradient, tf.Variable]]
    ) -> tf.Variable:
        """Does for each optimiser what its own `apply_gradients` does before the variables move."""
        ready: list[tuple[Gradient, tf.Variable]] = []
        for optimizer in self._optimizers():
            own = [pair for pair in grads_and_vars if self._owner(pair[1]) is optimizer]
            if own:
                gradients, variables = zip(*own, strict=True)
                gradients = optimizer._deduplicate_sparse_grad(optimizer._clip_gradients(gradients))
                optimizer._apply_weight_decay(variables)
                ready += zip(gradients, variables, strict=True)
        return super()._internal_apply_gradients(ready)

    def _deduplicate_sparse_grad(self, grads: Sequence[Gradient]) -> Sequence[Gradient]:
        return grads

    def _compute_current_learning_rate(self) -> None:
        for optimizer in self._optimizers():
            optimizer._compute_current_learning_rate()

    def _optimizers(self) -> list[tf_keras.optimizers.Optimizer]:
        return [*self.tables.values(), self.dense]

    def _owner(self, variable: tf.Variable) -> tf_keras.optimizers.Optimizer:
        return self._owners.get(self._var_key(variable), self.dense)
