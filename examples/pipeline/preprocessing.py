"""What is done to raw values before the features' own transforms, in training and in serving."""

import tensorflow as tf


def to_decade(feature: str, values: tf.Tensor) -> tf.Tensor:
    """Makes `1990s` of `1995` in the feature `decade`, and leaves all others as they are."""
    if feature != "decade":
        return values
    return tf.strings.regex_replace(values, r"^(\d{3})\d$", r"\1" + "0s")
