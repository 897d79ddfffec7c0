"""prepared data -> a feature store."""

from pathlib import Path
from typing import NamedTuple

from tfrec.config import validate
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import DataConfig
from tfrec.data.erased import Erased
from tfrec.data.events import event_files
from tfrec.data.prepared import PreparedData
from tfrec.data.prepared_columns import prepared_columns
from tfrec.data.shard import Shard
from tfrec.features import FeatureSpec
from tfrec.service.feature_store import FeatureStore
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.pushed_states import pushed_states
from tfrec.stages.artifact import Artifact
from tfrec.stages.clean import split_of
from tfrec.stages.reporter import Reporter


class Pushed(NamedTuple):
    """What became of the shoppers of prepared data.

    Attributes:
      put: how many are in the store as prepared.
      newer: how many have newer events there, and stay as they are.
      erased: how many asked to be forgotten, and are left out.
    """

    put: int
    newer: int
    erased: int


def online_features(prepared: Artifact, features: FeatureSpec) -> OnlineFeatures:
    """What events change, by the config that the data were prepared with.

    Args:
      prepared: prepared data.
      features: the `features` section.
    """
    config = _config(prepared)
    data = PreparedData(prepared.path)
    columns = prepared_columns(data, config, features)
    return OnlineFeatures(config, features, columns, Catalogue(data.catalogue))


def push_features(
    prepared: Artifact,
    features: FeatureSpec,
    store: FeatureStore,
    erased: Path | None = None,
    reporter: Reporter | None = None,
) -> Pushed:
    """Puts every shopper of prepared data into a feature store, file by file.

    A shopper is put whole or not at all, and a file that was put is noted in the store: where the
    same push was broken off, it goes on behind that.

    Args:
      prepared: prepared data.
      features: the `features` section.
      store: the feature store, whose shoppers can be asked for meanwhile.
      erased: file of tombstones, as `data.clean.erased` names it now.
      reporter: hears of progress.

    Returns:
      What became of the shoppers of the files that were put now.

    Raises:
      UserError: if there are no prepared data, or the tombstones cannot be read.
      StoreError: if the store does not answer.
    """
    heard, config = reporter or Reporter(), _config(prepared)
    data = PreparedData(prepared.path)
    columns, catalogue = prepared_columns(data, config, features), Catalogue(data.catalogue)
    files, split = event_files(data.events), split_of(config, data)
    gone = Erased.read(erased) if erased else Erased.nobody()
    mark = f"push:{prepared.manifest.id}"
    put = newer = left_out = 0
    for number in range(int(store.mark(mark) or 0), len(files)):
        heard.progress("putting shoppers", number, len(files))
        shard = Shard(files[number], columns, catalogue, config, split)
        states = list(pushed_states(shard, features, config.item, config.session_gap))
        # Who was erased since these data were prepared has events in them from before that.
        kept = [one for one in states if one.first > gone.until(one.user)]
        written = store.push(kept)
        store.set_mark(mark, str((number + 1) % len(files)))
        put, newer = put + written, newer + len(kept) - written
        left_out += len(states) - len(kept)
    heard.progress("putting shoppers", len(files), len(files))
    return Pushed(put, newer, left_out)


def _config(prepared: Artifact) -> DataConfig:
    return validate(DataConfig, prepared.manifest.config["data"], "data")
