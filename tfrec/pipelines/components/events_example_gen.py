"""Events and catalogue -> cleaned events, and raw Examples with their schema."""

from pathlib import Path

from google.protobuf import text_format
from tfx.components.util.examples_utils import set_file_format, set_payload_format
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.proto.example_gen_pb2 import PayloadFormat
from tfx.types.artifact_utils import encode_split_names
from tfx.types.standard_artifacts import Examples, Schema

from tfrec.data.config import DataConfig
from tfrec.data.prepared import PreparedData
from tfrec.data.raw_examples import write_raw_examples
from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.pipelines.artifacts import CleanedEvents
from tfrec.pipelines.parameters import section
from tfrec.pipelines.reporting import reporter
from tfrec.stages.clean import clean, split_of


@component
def EventsExampleGen(
    config: Parameter[str],
    sources: Parameter[str],
    cleaned: OutputArtifact[CleanedEvents],
    examples: OutputArtifact[Examples],
    schema: OutputArtifact[Schema],
) -> None:
    """Cleans the events and writes those that count as Examples of raw features.

    Args:
      config: the sections `data`, `features` and `pipeline`.
      sources: `files`, what tells those of each source from others, and `versions` of packages, so
        that what is changed is not taken from the cache; nothing where nobody can look.
      cleaned: receives catalogue and events.
      examples: receives the Examples, a split for each part.
      schema: receives their schema.
    """
    data, features = section(config, "data", DataConfig), section(config, "features", FeatureSpec)
    made = clean(data, features, Path(cleaned.uri), reporter())
    prepared = PreparedData(made.path)
    reporter().step("writing raw Examples")
    parts = write_raw_examples(
        data, features, made.columns, split_of(data, prepared), prepared, Path(examples.uri)
    )
    examples.split_names = encode_split_names(parts)
    set_payload_format(examples, PayloadFormat.FORMAT_TF_EXAMPLE)
    set_file_format(examples, "tfrecords_gzip")
    text = text_format.MessageToString(raw_schema(features))
    (Path(schema.uri) / "schema.pbtxt").write_text(text)
