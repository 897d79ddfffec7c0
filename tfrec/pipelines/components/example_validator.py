"""Statistics of new data + the schema with its limits -> whether anything may be learned of it."""

from pathlib import Path

from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.components.statistics_gen.stats_artifact_utils import load_statistics
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.artifact_utils import decode_split_names, encode_split_names, get_split_uri
from tfx.types.standard_artifacts import ExampleAnomalies, ExampleStatistics, Schema
from tfx.utils.io_utils import SchemaReader, get_only_uri_in_dir
from tfx.utils.writer_utils import write_anomalies

from tfrec.data.prepared import TRAIN
from tfrec.pipelines.validation import refuse_faults, validate_splits


@component
def ExampleValidator(
    statistics: InputArtifact[ExampleStatistics],
    schema: InputArtifact[Schema],
    anomalies: OutputArtifact[ExampleAnomalies],
    last_run: Parameter[str] = "",
) -> None:
    """Compares the later splits with training, and training with that of the run before.

    TFX's own never compares statistics with each other, and lets a run with anomalies go on.

    Args:
      statistics: of each split.
      schema: of the raw features, with limits.
      anomalies: receives what was found, which is nothing: the run fails otherwise.
      last_run: file of the training statistics that passed here last, whatever became of that
        run later on; without it, runs are not compared.
    """
    splits = {
        name: load_statistics(statistics, name).proto()
        for name in decode_split_names(statistics.split_names)
    }
    limited = SchemaReader().read(get_only_uri_in_dir(schema.uri))
    found = validate_splits(limited, splits, _read(last_run))
    anomalies.split_names = encode_split_names(list(splits))
    for name, of_split in found.items():
        folder = Path(get_split_uri([anomalies], name))
        write_anomalies(str(folder / DEFAULT_FILE_NAME), of_split)
    refuse_faults(found, splits, statistics.uri)
    if last_run:
        _write(splits[TRAIN], last_run)


def _read(file: str) -> Statistics | None:
    if not (file and fileio.exists(file)):
        return None
    with fileio.open(file, "rb") as stored:
        return Statistics.FromString(stored.read())


def _write(statistics: Statistics, file: str) -> None:
    fileio.makedirs(str(Path(file).parent))
    partial = f"{file}.partial"
    with fileio.open(partial, "wb") as stored:
        stored.write(statistics.SerializeToString())
    fileio.rename(partial, file, overwrite=True)
