"""A ranker of one's own, in fifteen lines.

tfrec run examples/films.yaml --model examples/wider_ranker.py:WiderRanker --training.epochs 1
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
    one_epoch = {"training.epochs": "1"}
    experiment = tfrec.Experiment.load("examples/films.yaml", WiderRanker, one_epoch)
    experiment.run()
