"""Hash functions of whole numbers that are independent of each other."""

import tensorflow as tf

# Odd numbers with about as many ones as zeros, from the fractions of square roots.
_MULTIPLIERS = (
    0x6A09E667F3BCC909,
    0x3C6EF372FE94F82B,
    0x510E527FADE682D1,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)


def multiply_shift(ids: tf.Tensor, function: int, size: int) -> tf.Tensor:
    """Hashes ids by the upper half of their product with a constant.

    Args:
      ids: int64 of any shape.
      function: which hash function, 0 to 4.
      size: number of hash values, at most 2**31.

    Returns:
      int64 in `[0, size)`, of the shape of `ids`.

    Source: Dietzfelbinger et al., A Reliable Randomized Algorithm for the Closest-Pair Problem,
    Journal of Algorithms 1997.
    """
    product = ids * tf.constant(_MULTIPLIERS[function], tf.int64)  # modulo 2**64
    return tf.bitwise.right_shift(product, tf.constant(32, tf.int64)) % size
