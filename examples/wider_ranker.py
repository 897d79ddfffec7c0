"""A ranker of one's own, in fifteen lines.

tfrec run configs/complete_journey.yaml --model examples/wider_ranker.py:WiderRanker
"""

import tf_keras

import tfrec


class WiderRanker(tfrec.models.DeepFM):
    """A DeepFM whose network normalises its features first."""

    def network(self) -> tf_keras.Model:
        """Makes a wider network than the template's, behind a normalising layer."""
        hidden = tfrec.layers.mlp([256, 128, 64], dropout=0.1)
        return tf_keras.Sequential([tf_keras.layers.LayerNormalization(), hidden])


if __name__ == "__main__":
    experiment = tfrec.Experiment.load("configs/complete_journey.yaml", model=WiderRanker)
    experiment.run()
