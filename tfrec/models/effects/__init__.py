"""What a treatment changes, learned from logs in which it was not given at random."""

from tfrec.models.effects.balance import imbalance
from tfrec.models.effects.learners import LEARNERS, DRLearner, EffectLearner, TLearner, XLearner
from tfrec.models.effects.nuisance import Nuisance, cross_fit, doubly_robust
from tfrec.models.effects.observations import Observations
from tfrec.models.effects.trees import Trees

__all__ = [
    "LEARNERS",
    "DRLearner",
    "EffectLearner",
    "Nuisance",
    "Observations",
    "TLearner",
    "Trees",
    "XLearner",
    "cross_fit",
    "doubly_robust",
    "imbalance",
]
