"""Settings -> optimiser."""

from tfrec.embeddings.optimizers.adagrad import Adagrad
from tfrec.embeddings.optimizers.config import OptimizerSettings
from tfrec.embeddings.optimizers.ftrl import Ftrl
from tfrec.embeddings.optimizers.lazy_adam import LazyAdam
from tfrec.embeddings.optimizers.rowwise_adagrad import RowwiseAdagrad
from tfrec.embeddings.optimizers.sgd import Sgd
from tfrec.embeddings.optimizers.sparse import SparseOptimizer

_OPTIMIZERS: dict[str, type[SparseOptimizer]] = {
    "rowwise_adagrad": RowwiseAdagrad,
    "adagrad": Adagrad,
    "lazy_adam": LazyAdam,
    "ftrl": Ftrl,
    "sgd": Sgd,
}


def make_optimizer(settings: OptimizerSettings) -> SparseOptimizer:
    """Makes the optimiser that settings describe; fields are named as its arguments."""
    arguments = settings.model_dump(exclude={"kind"})
    return _OPTIMIZERS[settings.kind](**arguments, name=settings.kind)
