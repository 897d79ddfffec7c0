"""DCN-v2: explicit crosses of bounded degree, and a network."""

from typing import Annotated, Literal

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras
from pydantic import Field

from tfrec.errors import UserError
from tfrec.layers import Joined
from tfrec.models.dnn import DNN
from tfrec.models.feature_widths import total_width


class DCNv2(DNN):
    """Ranks by layers that multiply the features with each other, and a network.

        x_0 = [features]        x_{l+1} = x_0 * (W_l x_l + b_l) + x_l
        stacked:  output = w . network(x_L) + b
        parallel: output = w . [x_L, network(x_0)] + b

    With `low_rank` r, `W = U V` with r columns in U, which is cheaper and often as good. The layers
    are TensorFlow Recommenders' own; they compute in float32.

    Source: Wang et al., DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale
    Learning to Rank Systems, WWW 2021.
    """

    class Settings(DNN.Settings):
        """The template's own keys of the `model` section.

        Attributes:
          cross_layers: number of layers that cross.
          low_rank: rank of their matrices; by default they are full.
          structure: whether the network follows the crosses or stands beside them.
        """

        cross_layers: Annotated[int, Field(gt=0)] = 3
        low_rank: Annotated[int, Field(gt=0)] | None = None
        structure: Literal["stacked", "parallel"] = "stacked"

    settings: Settings

    def crosses(self) -> list[tf_keras.layers.Layer]:
        """Makes the layers that cross.

        Raises:
          UserError: if a low rank is not the cheaper one.
        """
        rank, width = self.settings.low_rank, total_width(self.spec)
        if rank is not None and 2 * rank >= width:
            raise UserError(
                f"model.low_rank: {rank} costs no less than the full rank of {width} floats of "
                f"features; give less than {(width + 1) // 2}, or leave it out"
            )
        return [
            tfrs.layers.dcn.Cross(projection_dim=rank) for _ in range(self.settings.cross_layers)
        ]

    def interaction(self) -> tf_keras.layers.Layer:
        """Crosses the features, and puts `network` behind that or beside it."""
        return _Crossed(self.crosses(), self.network(), self.settings.structure == "parallel")


class _Crossed(tf_keras.layers.Layer):
    def __init__(
        self, crosses: list[tf_keras.layers.Layer], network: tf_keras.Model, parallel: bool
    ) -> None:
        super().__init__()
        self._crosses, self._network, self._parallel = crosses, network, parallel
        self._joined = Joined()

    def call(self, embedded: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        features = crossed = self._joined(embedded)
        for cross in self._crosses:
            crossed = cross(features, crossed)
        if self._parallel:
            return tf.concat([crossed, self._network(features, training=training)], -1)
        return self._network(crossed, training=training)
