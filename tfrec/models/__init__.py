"""Templates to subclass."""

from tfrec.models.base import ModelInputs, Template
from tfrec.models.bst import BST
from tfrec.models.closed_form import EASE, IALS, ItemKNN, OwnHistory, Popularity
from tfrec.models.dcn_v2 import DCNv2
from tfrec.models.deep_fm import DeepFM
from tfrec.models.din import DIN
from tfrec.models.dlrm import DLRM
from tfrec.models.dnn import DNN
from tfrec.models.hstu import HSTU
from tfrec.models.item_to_item import ItemToItem
from tfrec.models.matrix_factorization import MatrixFactorization
from tfrec.models.multi_task import ESMM, PLE, MMoE, MultiTask, SharedBottom
from tfrec.models.neu_mf import NeuMF
from tfrec.models.ranking import RankingTemplate
from tfrec.models.retrieval import RetrievalTemplate
from tfrec.models.sasrec import GSASRec, SASRec
from tfrec.models.sequence_tower import SequenceTower
from tfrec.models.sequential import Sequential
from tfrec.models.text_tower import TextTower
from tfrec.models.two_tower import TwoTower
from tfrec.models.uplift import Uplift
from tfrec.models.wide_and_deep import WideAndDeep

__all__ = [
    "BST",
    "DIN",
    "DLRM",
    "DNN",
    "EASE",
    "ESMM",
    "HSTU",
    "IALS",
    "PLE",
    "DCNv2",
    "DeepFM",
    "GSASRec",
    "ItemKNN",
    "ItemToItem",
    "MMoE",
    "MatrixFactorization",
    "ModelInputs",
    "MultiTask",
    "NeuMF",
    "OwnHistory",
    "Popularity",
    "RankingTemplate",
    "RetrievalTemplate",
    "SASRec",
    "SequenceTower",
    "Sequential",
    "SharedBottom",
    "Template",
    "TextTower",
    "TwoTower",
    "Uplift",
    "WideAndDeep",
]
