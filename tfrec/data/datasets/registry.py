"""All named data sets."""

from tfrec.data.datasets.amazon_reviews import AMAZON_REVIEWS
from tfrec.data.datasets.complete_journey import COMPLETE_JOURNEY
from tfrec.data.datasets.criteo import CRITEO
from tfrec.data.datasets.dataset import Dataset
from tfrec.data.datasets.movielens import MOVIELENS_1M, MOVIELENS_25M, MOVIELENS_100K
from tfrec.data.datasets.online_retail import ONLINE_RETAIL
from tfrec.data.datasets.open_bandit import OPEN_BANDIT
from tfrec.data.datasets.retailrocket import RETAILROCKET

DATASETS: dict[str, Dataset] = {
    "complete_journey": COMPLETE_JOURNEY,
    "movielens_100k": MOVIELENS_100K,
    "open_bandit": OPEN_BANDIT,
    "movielens_1m": MOVIELENS_1M,
    "movielens_25m": MOVIELENS_25M,
    "online_retail": ONLINE_RETAIL,
    "retailrocket": RETAILROCKET,
    "amazon_reviews": AMAZON_REVIEWS,
    "criteo": CRITEO,
}
