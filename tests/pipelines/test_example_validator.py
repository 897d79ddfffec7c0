from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tfx.types import Artifact
from tfx.types.artifact_utils import encode_split_names
from tfx.types.standard_artifacts import ExampleAnomalies, ExampleStatistics, Schema

from tfrec.config import validate
from tfrec.deploy.validation_config import ValidationLimits
from tfrec.errors import UserError
from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.pipelines.components.example_validator import ExampleValidator
from tfrec.pipelines.validation import limits_of

SPEC = {
    "sku": {"role": "item", "kind": "categorical", "embedding": 2},
    "channel": {"role": "context", "kind": "categorical", "embedding": 2},
}


class Run:
    """Runs of the validator, one after the other, each on its own data."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.last_run = folder, folder / "shop" / "training_statistics.pb"
        spec = validate(FeatureSpec, SPEC)
        limits = ValidationLimits(drift=0.2)
        schema = limits_of(raw_schema(spec), limits, spec)
        (folder / "schema").mkdir()
        (folder / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema))

    def __call__(
        self, train: Sequence[str], test: Sequence[str], last_run: str | None = None
    ) -> Artifact:
        statistics = _artifact(ExampleStatistics, self.folder / "statistics")
        statistics.split_names = encode_split_names(["train", "test"])
        for split, channels in (("train", train), ("test", test)):
            _write(self.folder / "statistics" / f"Split-{split}", channels)
        anomalies = _artifact(ExampleAnomalies, self.folder / "anomalies")
        ExampleValidator.EXECUTOR_SPEC.executor_class._FUNCTION(
            statistics=statistics,
            schema=_artifact(Schema, self.folder / "schema"),
            anomalies=anomalies,
            last_run=str(self.last_run) if last_run is None else last_run,
        )
        return anomalies


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_runs_are_compared_with_the_last_that_passed(run: Run) -> None:
    run("wwaa", "wwaa")
    with pytest.raises(UserError, match=r"train channel: The Linfty distance.* is 0\.5 "):
        run("wwww", "wwww")
    with pytest.raises(UserError, match=r"train channel: The Linfty distance.* is 0\.5 "):
        run("wwww", "wwww")

    run("wwwaa", "wwwaa")


def test_without_a_file_runs_are_not_compared(run: Run) -> None:
    run("wwaa", "wwaa", last_run="")
    run("wwww", "wwww", last_run="")

    assert not run.last_run.exists()


def test_what_was_found_is_kept_by_split(run: Run) -> None:
    anomalies = run("wwaa", "wwaa")

    assert anomalies.split_names == '["train", "test"]'
    written = sorted(file.parent.name for file in Path(anomalies.uri).rglob("SchemaDiff.pb"))
    assert written == ["Split-test", "Split-train"]


def _write(folder: Path, channels: Sequence[str]) -> None:
    """Statistics of rows whose channels are letters."""
    columns = {"channel": [[channel] for channel in channels], "sku": [["a"]] * len(channels)}
    arrays = [pa.array(column, pa.list_(pa.string())) for column in columns.values()]
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    folder.mkdir(parents=True, exist_ok=True)
    statistics = generate_statistics_in_memory(batch)
    (folder / "FeatureStats.pb").write_bytes(statistics.SerializeToString())


def _artifact(kind: type[Artifact], path: Path) -> Artifact:
    artifact = kind()
    artifact.uri = str(path)
    return artifact
