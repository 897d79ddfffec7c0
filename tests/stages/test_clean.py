from pathlib import Path

import pytest
from records import read_example_files

from tfrec.data.config import DataConfig
from tfrec.data.prepared import TEST, TRAIN, PreparedData
from tfrec.data.query_set import QuerySet
from tfrec.features import FeatureSpec
from tfrec.stages.artifact import Artifact
from tfrec.stages.clean import CleanedEvents, clean
from tfrec.stages.prepare import prepare_cleaned


@pytest.fixture(scope="module")
def cleaned(
    data_config: DataConfig, spec: FeatureSpec, tmp_path_factory: pytest.TempPathFactory
) -> CleanedEvents:
    return clean(data_config, spec, tmp_path_factory.mktemp("clean") / "clean")


@pytest.fixture(scope="module")
def in_halves(
    cleaned: CleanedEvents, prepared: PreparedData, data_config: DataConfig, spec: FeatureSpec
) -> Artifact:
    """Prepared from cleaned events, with the transform of the shop that was prepared in one go."""
    target = cleaned.path.with_name("prepare")
    return prepare_cleaned(data_config, spec, cleaned, prepared.transform, target)


def test_both_halves_write_what_the_whole_writes(
    in_halves: Artifact, prepared: PreparedData
) -> None:
    ours = PreparedData(in_halves.path)

    assert ours.parts == prepared.parts
    assert read_example_files(ours.examples(TRAIN)) == read_example_files(prepared.examples(TRAIN))
    assert read_example_files(ours.items) == read_example_files(prepared.items)
    asked, others = (QuerySet.read(data.queries(TEST)).table for data in (ours, prepared))
    assert asked.sort_by("_user") == others.sort_by("_user")


def test_its_manifest_says_what_that_of_the_whole_says(
    in_halves: Artifact, prepared: PreparedData
) -> None:
    ours, whole = in_halves.manifest, Artifact(prepared.path).manifest

    assert ours.config == whole.config
    assert {**ours.summary, "began": None} == {**whole.summary, "began": None}


def test_it_began_when_cleaning_began(in_halves: Artifact, cleaned: CleanedEvents) -> None:
    assert in_halves.began == cleaned.began


def test_files_are_shared_but_for_the_manifest(in_halves: Artifact, cleaned: CleanedEvents) -> None:
    assert (in_halves.path / "catalogue.parquet").samefile(cleaned.path / "catalogue.parquet")
    assert in_halves.manifest.stage == "prepare"
    assert cleaned.manifest.stage == "clean"
    assert in_halves.manifest.inputs["clean"] == cleaned.manifest.id


def test_places_of_features_are_kept(cleaned: CleanedEvents) -> None:
    assert cleaned.columns.places["aisle"] == "catalogue"
    assert cleaned.columns.places["weekday"] == "calendar"
    assert not any(Path(cleaned.path, name).exists() for name in ("transform", "examples"))
