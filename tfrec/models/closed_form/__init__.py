"""Models that are fitted by a formula instead of trained by steps, one a file."""

from tfrec.models.closed_form.ease import EASE
from tfrec.models.closed_form.fitted import ClosedForm
from tfrec.models.closed_form.history_ranker import HistoryRanker
from tfrec.models.closed_form.ials import IALS
from tfrec.models.closed_form.item_knn import ItemKNN
from tfrec.models.closed_form.own_history import OwnHistory
from tfrec.models.closed_form.popularity import Popularity

__all__ = ["EASE", "IALS", "ClosedForm", "HistoryRanker", "ItemKNN", "OwnHistory", "Popularity"]
