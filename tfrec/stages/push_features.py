"""prepared data -> a feature store."""

import time
from collections import Counter
from collections.abc import Sequence
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
from tfrec.service.events import ANONYMOUS
from tfrec.service.feature_store import REMEMBER_SECONDS, FeatureStore
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.pushed_states import pushed_states
from tfrec.service.shopper_state import PushedState
from tfrec.stages.artifact import Artifact
from tfrec.stages.clean import split_of
from tfrec.stages.reporter import Reporter


class Pushed(NamedTuple):
    """What became of the shoppers of prepared data.

    Attributes:
      put: how many are in the store as prepared.
      newer: how many have newer events there, and stay as they are.
      partial: how many of these lack what came before, as the store did not have them when events
        came; they are put once the prepared data have all of their events.
      erased: how many asked to be forgotten, and are left out.
      old: how many are anonymous sessions that are forgotten by now, and are left out.
    """

    put: int
    newer: int
    partial: int
    erased: int
    old: int


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
    mark = f"push:{prepared.manifest.id}"
    done = Counter[str]()
    for number in range(int(store.mark(mark) or 0), len(files)):
        heard.progress("putting shoppers", number, len(files))
        shard = Shard(files[number], columns, catalogue, config, split)
        states = list(pushed_states(shard, features, config.item, config.session_gap))
        done += _push(states, store, erased)
        store.set_mark(mark, str((number + 1) % len(files)))
    heard.progress("putting shoppers", len(files), len(files))
    return Pushed(*(done[name] for name in Pushed._fields))


def _push(states: Sequence[PushedState], store: FeatureStore, erased: Path | None) -> Counter[str]:
    """Puts the shoppers of a file, and returns what became of how many."""
    since = time.time() - REMEMBER_SECONDS
    fresh = [one for one in states if not _is_old_session(one, since)]
    kept = _not_erased(fresh, erased)
    written, partial = store.push(kept)
    # Somebody may have been erased after the tombstones were read, and before the push.
    left = {one.user for one in _not_erased(kept, erased)}
    back = [one.user for one in kept if one.user not in left]
    for user in back:
        store.erase(user)
    return Counter(
        put=written - len(back),
        newer=len(kept) - written,
        partial=partial,
        erased=len(fresh) - len(left),
        old=len(states) - len(fresh),
    )


def _not_erased(states: Sequence[PushedState], erased: Path | None) -> list[PushedState]:
    # Who was erased since these data were prepared has events in them from before that.
    gone = Erased.read(erased) if erased else Erased.nobody()
    return [one for one in states if one.first > gone.until(one.user)]


def _is_old_session(one: PushedState, since: float) -> bool:
    return one.user.startswith(ANONYMOUS) and (one.state.last or 0) < since


def _config(prepared: Artifact) -> DataConfig:
    return validate(DataConfig, prepared.manifest.config["data"], "data")
