from pathlib import Path

import pytest
from records import Example, read_all_examples

from tfrec.data.config import DataConfig
from tfrec.data.prepared import TEST, TRAIN, VALIDATION, PreparedData
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.parsing import TIME
from tfrec.stages.artifact import Artifact, produce
from tfrec.stages.clean import CleanedEvents, clean
from tfrec.stages.going_on import Learned, going_on, newest_learned, write_learned
from tfrec.stages.prepare import prepare_cleaned
from tfrec.training.config import TrainingConfig

DAYS = 10 * 86_400


@pytest.fixture(scope="module")
def cleaned(
    data_config: DataConfig, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory
) -> CleanedEvents:
    return clean(data_config, spec, tmp_path_factory.mktemp("going_on") / "clean")


@pytest.fixture(scope="module")
def until(prepared: PreparedData) -> int:
    """A moment ten days before training ends."""
    return prepared.parts[TRAIN].last - DAYS


@pytest.fixture(scope="module")
def sequel(
    cleaned: CleanedEvents,
    until: int,
    data_config: DataConfig,
    spec: FeatureSpec,
    prepared: PreparedData,
) -> Artifact:
    """Prepared data of what is new since that moment."""
    target = cleaned.path.with_name("prepare")
    learned = Learned("runs/shop_monday/train", until)
    return prepare_cleaned(data_config, spec, cleaned, prepared.transform, target, None, learned)


def examples(data: PreparedData, part: str) -> list[tuple]:
    return sorted(map(as_tuple, read_all_examples(data.examples(part))))


def as_tuple(example: Example) -> tuple:
    return tuple(sorted(example.items()))


def test_only_new_events_are_trained_on_with_the_histories_of_before(
    sequel: Artifact, prepared: PreparedData, until: int
) -> None:
    all_days = read_all_examples(prepared.examples(TRAIN))
    new = sorted(as_tuple(one) for one in all_days if one[TIME][0] >= until)
    assert 0 < len(new) < len(all_days)
    assert examples(PreparedData(sequel.path), TRAIN) == new


@pytest.mark.parametrize("part", [VALIDATION, TEST])
def test_the_other_parts_are_as_ever(sequel: Artifact, prepared: PreparedData, part: str) -> None:
    data = PreparedData(sequel.path)
    assert examples(data, part) == examples(prepared, part)
    assert (data.item_counts(TRAIN) == prepared.item_counts(TRAIN)).all()


def test_training_on_a_sequel_starts_from_the_model_before(sequel: Artifact) -> None:
    started = going_on(TrainingConfig(epochs=3), sequel)
    assert started.warm_start == Path("runs/shop_monday/train")
    assert started.epochs == 3


def test_training_on_all_days_starts_anew(tmp_path: Path) -> None:
    prepared = produce("prepare", {}, {}, tmp_path / "prepare", lambda _: {"examples": {}})
    assert going_on(TrainingConfig(), prepared) == TrainingConfig()


def test_no_new_events_are_refused(
    cleaned: CleanedEvents,
    data_config: DataConfig,
    spec: FeatureSpec,
    prepared: PreparedData,
    tmp_path: Path,
) -> None:
    learned = Learned("runs/shop_monday/train", prepared.parts[TRAIN].last + 1)
    wanted = data_config, spec, cleaned, prepared.transform, tmp_path / "prepare", None, learned
    with pytest.raises(UserError, match=r"^pipeline\.warm_start: no training events since 2020-"):
        prepare_cleaned(*wanted)


def test_the_newest_version_says_what_its_model_has_learned(
    prepared: PreparedData, tmp_path: Path
) -> None:
    for name in ("9", "10"):
        (tmp_path / f"train-{name}").mkdir()
        (tmp_path / "shop" / name).mkdir(parents=True)
        trained = Artifact(tmp_path / f"train-{name}")
        write_learned(tmp_path / "shop" / name, trained, Artifact(prepared.path))
    (tmp_path / "shop" / "11").mkdir()  # pushed by another hand
    last = prepared.parts[TRAIN].last
    assert newest_learned(tmp_path / "shop") == Learned(str(tmp_path / "train-10"), last + 1)


def test_before_the_first_version_nothing_was_learned(tmp_path: Path) -> None:
    assert newest_learned(tmp_path / "shop") is None


def test_a_trained_model_that_is_gone_is_named(prepared: PreparedData, tmp_path: Path) -> None:
    (tmp_path / "shop" / "1").mkdir(parents=True)
    gone = Artifact(tmp_path / "train")
    write_learned(tmp_path / "shop" / "1", gone, Artifact(prepared.path))
    with pytest.raises(UserError, match=r"^pipeline\.warm_start: .*/train: of version 1, is gone"):
        newest_learned(tmp_path / "shop")
