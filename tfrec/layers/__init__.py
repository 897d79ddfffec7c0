"""Building blocks of models, one concept a file."""

from tfrec.layers.added_logit import AddedLogit
from tfrec.layers.attention_pooling import AttentionPooling
from tfrec.layers.causal_block import CausalBlock
from tfrec.layers.dropout import Dropout
from tfrec.layers.encoder_block import EncoderBlock
from tfrec.layers.factorization_machine import FactorizationMachine
from tfrec.layers.fields import Fields
from tfrec.layers.hstu_block import HSTUBlock
from tfrec.layers.joined import Joined
from tfrec.layers.mlp import mlp
from tfrec.layers.multi_gate_experts import MultiGateExperts
from tfrec.layers.progressive_extraction import ProgressiveExtraction
from tfrec.layers.recent_positions import RecentPositions
from tfrec.layers.target_attention import TargetAttention

__all__ = [
    "AddedLogit",
    "AttentionPooling",
    "CausalBlock",
    "Dropout",
    "EncoderBlock",
    "FactorizationMachine",
    "Fields",
    "HSTUBlock",
    "Joined",
    "MultiGateExperts",
    "ProgressiveExtraction",
    "RecentPositions",
    "TargetAttention",
    "mlp",
]
