"""A two-tower model that weighs a shopper's recent products by learned attention.

tfrec run configs/complete_journey.yaml --model examples/attentive_history.py:AttentiveHistory
"""

from tfrec.embeddings.features import Pool
from tfrec.layers import AttentionPooling
from tfrec.models import TwoTower


class AttentiveHistory(TwoTower):
    """A two-tower model in which some of a shopper's recent values count more than others."""

    def pools(self) -> dict[str, Pool]:
        """Makes an attention network for each sequence."""
        return {name: AttentionPooling(units=32) for name in self.spec.sequences}
