"""Large tables go into a checkpoint as pieces, so that training goes on while they are copied."""

from collections.abc import Iterator, Sequence

import tensorflow as tf

PIECE_BYTES = 32 * 1024**2


class InPieces(tf.train.experimental.ShardingCallback):
    """Has each server copy its part of a table piece by piece before it writes them.

    A variable that is read whole is not copied until a step changes it; that step waits for the
    copy, and all others with it. Rows that are gathered let other rows change meanwhile.
    """

    def __init__(self, piece_bytes: int = PIECE_BYTES) -> None:
        """Copies at most so many bytes at once, or a row if that has more."""
        self._piece_bytes = piece_bytes

    @property
    def description(self) -> str:
        """Says what this does, for TensorFlow's own measurements."""
        return "Copy the shards of large variables piece by piece."

    def __call__(
        self, shardable_tensors: Sequence[tf.train.experimental.ShardableTensor]
    ) -> list[dict[str, dict[str, tf.Tensor]]]:
        """Says what one server writes.

        Args:
          shardable_tensors: the variables that it holds, or their parts.

        Returns:
          One file: key -> slice -> what stands in it.
        """
        file: dict[str, dict[str, tf.Tensor]] = {}
        for saved in shardable_tensors:
            slices = file.setdefault(saved.checkpoint_key, {})
            if saved.slice_spec and tf.inside_function():
                slices.update(self._pieces(saved))
            else:
                slices[saved.slice_spec] = saved.tensor
        return [file]

    def _pieces(
        self, shard: tf.train.experimental.ShardableTensor
    ) -> Iterator[tuple[str, tf.Tensor]]:
        """Gathers the rows of a shard, some after the others."""
        shape, extents = shard.slice_spec.rsplit(" ", 1)
        rows, *others = extents.split(":")
        first, count = map(int, rows.split(","))
        variable = _variable(shard)
        row_bytes = variable.shape.num_elements() // count * shard.dtype.size
        at_once = max(self._piece_bytes // row_bytes, 1)
        copied: list[tf.Tensor] = []
        with tf.device(shard.device):
            for start in range(0, count, at_once):
                end = min(start + at_once, count)
                with tf.control_dependencies(copied):
                    piece = variable.sparse_read(tf.range(start, end, dtype=tf.int64))
                copied = [piece]
                extents = ":".join([f"{first + start},{end - start}", *others])
                yield f"{shape} {extents}", piece


def _variable(shard: tf.train.experimental.ShardableTensor) -> tf.Variable:
    """Finds the variable of a shard; its tensor is what was read of it."""
    saveables = shard.trackable.saveables
    return next(part.op for part in saveables if part.specs[0].slice_spec == shard.slice_spec)
