"""The config's features and limits -> the schema that new data must keep."""

from pathlib import Path

from google.protobuf import text_format
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Schema

from tfrec.deploy.validation_config import ValidationLimits
from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema
from tfrec.pipelines.parameters import section
from tfrec.pipelines.validation import limits_of


@component
def SchemaGen(config: Parameter[str], schema: OutputArtifact[Schema]) -> None:
    """Writes the schema; another limit validates data anew, but trains nothing anew.

    Args:
      config: the section `features`, and `validation` of the section `pipeline`.
      schema: receives the schema of the raw features, with limits.
    """
    features = section(config, "features", FeatureSpec)
    limits = section(config, "validation", ValidationLimits)
    limited = limits_of(raw_schema(features), limits, features)
    (Path(schema.uri) / "schema.pbtxt").write_text(text_format.MessageToString(limited))
