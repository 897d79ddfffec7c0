from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from shop import DAYS, ITEMS, START, Shop

from tfrec.cli.features import features
from tfrec.config import validate
from tfrec.data.config import DataConfig
from tfrec.data.erased import begin_tombstones, erase
from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import Profiles
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.service.event_log import EventLog
from tfrec.service.events import ANONYMOUS, Event
from tfrec.service.feature_store import Put, StoreError
from tfrec.service.intake import Intake
from tfrec.service.shopper_state import PushedState
from tfrec.service.sqlite_store import SqliteStore
from tfrec.stages.artifact import Artifact
from tfrec.stages.clean import clean
from tfrec.stages.experiment import Experiment
from tfrec.stages.prepare import prepare
from tfrec.stages.push_features import Pushed, online_features, push_features
from tfrec.stages.reporter import Reporter

SENT = 400
LATER = datetime.fromtimestamp(START + 400 * 86_400, timezone.utc)
TYPES = {"click": 1, "purchase": 2, "impression": 0, "hide": 0}
BEHAVIOUR = {
    name: {"role": "user", "kind": "numeric"}
    for name in ("days_since_last_visit", "visits_before", "events_before")
}


class BreaksOff(SqliteStore):
    """A store that does not answer to the second list of shoppers."""

    lists = 0

    def push(self, states: Iterable[PushedState]) -> Put:
        self.lists += 1
        if self.lists == 2:
            raise StoreError("away")
        return super().push(states)


class Heard(Reporter):
    """Hears of progress."""

    def __init__(self) -> None:
        self.done: list[tuple[int, int]] = []

    def progress(self, what: str, done: int, total: int) -> None:
        self.done.append((done, total))


class Loop(NamedTuple):
    """A shop whose service's log is prepared, too.

    Attributes:
      config: of the data, with the service's log as the second.
      spec: the features.
      known: the store after the events came in by the service.
      prepared: what preparation made of both logs afterwards.
    """

    config: DataConfig
    spec: FeatureSpec
    known: SqliteStore
    prepared: Artifact

    @property
    def profiles(self) -> Profiles:
        return Profiles(PreparedData(self.prepared.path).profiles)

    @property
    def everybody(self) -> list[str]:
        return list(self.profiles._places)

    @property
    def users(self) -> list[str]:
        """Those who are no anonymous session, all of which are of long ago."""
        return [user for user in self.everybody if not user.startswith(ANONYMOUS)]

    def pushed(self, put: int, erased: int = 0) -> Pushed:
        old = len(self.everybody) - len(self.users)
        return Pushed(put, newer=0, partial=0, erased=erased, old=old)


@pytest.fixture(scope="module")
def loop(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """Prepares, pushes, serves, and prepares again."""
    folder = tmp_path_factory.mktemp("loop")
    log = {
        "source": str(folder / "log"), "user": "visitor", "item": "item", "time": "time",
        "type_column": "type", "weights": TYPES,
    }  # fmt: skip
    content = shop.config(features=BEHAVIOUR)
    data = content["data"]
    data |= {"events": [data["events"], log], "clean": {"erased": str(folder / "erased")}}
    config = validate(DataConfig, data, "data")
    spec = validate(FeatureSpec, content["features"], "features")
    first, *rows = _sent([f"sku-{number:03d}" for number in range(ITEMS)])
    with EventLog(folder / "log") as opened:
        opened.append([Event.model_validate(first)])
    begin_tombstones(folder / "erased")
    before = clean(config, spec, folder / "before")
    online = online_features(before, spec)
    store = SqliteStore(folder / "features.sqlite", online)
    push_features(before, spec, store)
    with Intake(folder / "log", online, store, folder / "erased") as intake:
        for start in range(0, len(rows), 50):
            verdicts = intake.take(rows[start : start + 50])
            assert {one.status for one in verdicts} == {"accepted"}
        intake.erase("user-5")
    yield Loop(config, spec, store, prepare(config, spec, folder / "after"))
    store.close()


@pytest.fixture
def store(loop: Loop, tmp_path: Path) -> Iterator[BreaksOff]:
    store = BreaksOff(tmp_path / "features.sqlite", online_features(loop.prepared, loop.spec))
    store.lists = 2
    yield store
    store.close()


def test_what_the_service_logs_is_prepared_as_the_store_has_it(loop: Loop) -> None:
    summary = loop.prepared.manifest.summary
    assert summary["read"]["events"] == 6000 + SENT
    assert summary["rejected"]["events"] == {"missing user": 2, "item not in the catalogue": 3}

    assert {"anonymous:s1", "user-0", "user-44"} <= set(loop.everybody)
    for user in loop.everybody:
        assert loop.known.find(user, LATER).features == loop.profiles.find(user, LATER), user


def test_erased_shopper_is_neither_in_the_store_nor_prepared(loop: Loop) -> None:
    assert loop.prepared.manifest.summary["dropped"]["events"]["erased"] > 100
    assert "user-5" not in loop.users
    assert not loop.known.find("user-5").is_known


def test_every_pushed_shopper_has_the_features_of_the_profile(loop: Loop, store: BreaksOff) -> None:
    heard = Heard()

    done = push_features(loop.prepared, loop.spec, store, reporter=heard)

    assert done == loop.pushed(len(loop.users))
    for user in loop.users:
        assert store.find(user, LATER).features == loop.profiles.find(user, LATER), user
    assert heard.done == [(0, 2), (1, 2), (2, 2)]


def test_anonymous_sessions_of_long_ago_are_left_out(loop: Loop, store: BreaksOff) -> None:
    done = push_features(loop.prepared, loop.spec, store)

    assert done.old == 3
    assert not any(store.find(f"anonymous:s{number}").is_known for number in range(3))


def test_push_that_was_broken_off_goes_on_behind_what_is_put(loop: Loop, store: BreaksOff) -> None:
    store.lists = 0
    with pytest.raises(StoreError):
        push_features(loop.prepared, loop.spec, store)
    before = sum(store.find(user).is_known for user in loop.users)
    assert 0 < before < len(loop.users)

    done = push_features(loop.prepared, loop.spec, store)

    assert done.put == len(loop.users) - before
    assert all(store.find(user).is_known for user in loop.users)
    assert push_features(loop.prepared, loop.spec, store).put == len(loop.users)


def test_shoppers_erased_since_are_left_out(loop: Loop, store: BreaksOff, tmp_path: Path) -> None:
    file = tmp_path / "erased"
    erase(file, "user-3", START + 10 * 86_400)
    erase(file, "user-4", START - 10)  # and came back

    done = push_features(loop.prepared, loop.spec, store, file)

    assert done == loop.pushed(len(loop.users) - 1, erased=1)
    assert not store.find("user-3").is_known
    assert store.find("user-4").is_known


def test_shoppers_erased_during_the_push_are_not_put_back(
    loop: Loop, store: BreaksOff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real, gone = tmp_path / "erased", store.push, set[str]()
    begin_tombstones(file)

    def push(states: Sequence[PushedState]) -> Put:
        if not gone:
            these = {one.user for one in states}
            gone.update([min(these), min(set(loop.users) - these)])  # of this file, of the next
            for user in gone:
                erase(file, user, START + 400 * 86_400)
        return real(states)

    monkeypatch.setattr(store, "push", push)
    done = push_features(loop.prepared, loop.spec, store, file)

    assert done == loop.pushed(len(loop.users) - 2, erased=2)
    assert not any(store.find(user).is_known for user in gone)


def test_command_loads_the_store_that_a_url_names(loop: Loop, tmp_path: Path) -> None:
    config = _write_config(loop, tmp_path)
    url = f"sqlite:///{tmp_path}/service/features.sqlite"

    done = CliRunner().invoke(features, ["push", str(config), "--store", url])

    assert done.exit_code == 0, done.output
    assert f"put: {len(loop.users)} shoppers; 0 have newer events there; 0 are" in done.output
    assert "; 3 are old anonymous sessions" in done.output
    assert (tmp_path / "service" / "features.sqlite").exists()


def test_command_names_a_store_that_is_none_or_does_not_answer(loop: Loop, tmp_path: Path) -> None:
    config = _write_config(loop, tmp_path)
    (tmp_path / "no.sqlite").write_text("no database" * 999)

    for url, problem in (
        ("mysql://here", "store: 'mysql://here': no store; give sqlite:///"),
        (f"sqlite:///{tmp_path}/no.sqlite", "--store: "),
        ("redis://127.0.0.1:1/0", "--store: Redis: "),
    ):
        failed = CliRunner().invoke(features, ["push", str(config), "--store", url])
        assert isinstance(failed.exception, UserError), url
        assert str(failed.exception).startswith(problem)


def test_whom_the_service_of_the_config_was_asked_to_forget_is_left_out(
    loop: Loop, tmp_path: Path
) -> None:
    config, folder = _write_config(loop, tmp_path), tmp_path / "service"
    content = yaml.safe_load(config.read_text())
    content["data"]["clean"]["erased"] = None
    config.write_text(yaml.safe_dump({**content, "service": {"folder": str(folder)}}))
    begin_tombstones(folder / "erased")
    nobody = Experiment.load(config).config.data.clean.erased
    erase(folder / "erased", "user-3", START + 400 * 86_400)

    done = CliRunner().invoke(features, ["push", str(config)], catch_exceptions=False)

    assert nobody is None
    assert Experiment.load(config).config.data.clean.erased == folder / "erased"
    assert "; 1 are erased;" in done.output
    assert (folder / "features.sqlite").exists()


def _write_config(loop: Loop, folder: Path) -> Path:
    """A config whose prepared data are those of the loop."""
    runs = folder / "runs" / "shop"
    runs.mkdir(parents=True)
    (runs / "prepare").symlink_to(loop.prepared.path)
    content = {
        "name": "shop",
        "runs": str(runs.parent),
        "data": loop.config.model_dump(mode="json"),
        "features": loop.spec.model_dump(mode="json"),
        "serving": {"name": "shop", "root": str(folder / "serving")},
    }
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def _sent(items: Sequence[str]) -> list[dict]:
    """Events of known, new and anonymous shoppers after those of the shop; some are late."""
    random = np.random.default_rng(0)
    times = START + DAYS * 86_400 + np.cumsum(random.integers(0, 4000, size=SENT))
    rows = []
    for number, time in enumerate(times.tolist()):
        who = {"user": f"user-{random.integers(45)}"}
        if number % 9 == 0:
            who = {"session": f"s{random.integers(3)}"}
        rows.append(
            {
                "id": f"e{number}", **who, "type": list(TYPES)[random.integers(len(TYPES))],
                "item": str(random.choice(items)), "position": 1 + number % 5,
                "time": time + 0.25 - 90_000 * (number % 10 == 7),
                "context": {"channel": ["web", "app"][number % 2]},
            }
        )  # fmt: skip
    return rows
