"""Prepared data -> the test window's queries as Examples, which a bundle is analysed by."""

from pathlib import Path

from tfx.components.util.examples_utils import set_file_format, set_payload_format
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.proto.example_gen_pb2 import PayloadFormat
from tfx.types.artifact_utils import encode_split_names
from tfx.types.standard_artifacts import Examples, Schema

from tfrec.data import prepared as data
from tfrec.evaluation.config import Protocol
from tfrec.pipelines.artifacts import PreparedData
from tfrec.pipelines.evaluator import write_queries
from tfrec.pipelines.parameters import from_parameter, section


@component
def QueryWriter(
    config: Parameter[str],
    prepared: InputArtifact[PreparedData],
    queries: OutputArtifact[Examples],
    schema: OutputArtifact[Schema],
) -> None:
    """Writes the queries.

    Args:
      config: the `protocol` of the evaluation, and what queries are `of`.
      prepared: prepared data.
      queries: receives the Examples, a split `test`.
      schema: receives their schema.
    """
    write_queries(
        data.PreparedData(Path(prepared.uri)),
        section(config, "protocol", Protocol),
        from_parameter(config)["of"],
        Path(queries.uri) / f"Split-{data.TEST}",
        Path(schema.uri),
    )
    queries.split_names = encode_split_names([data.TEST])
    set_payload_format(queries, PayloadFormat.FORMAT_TF_EXAMPLE)
    set_file_format(queries, "tfrecords_gzip")
