"""FeatureSpec -> TensorFlow Metadata schema of the raw columns."""

from tensorflow_metadata.proto.v0 import schema_pb2

from tfrec.features.spec import FeatureSpec, Sequence


def raw_schema(spec: FeatureSpec) -> schema_pb2.Schema:
    """Describes the raw columns: bytes, at most one value for a category, several for a sequence.

    Args:
      spec: the features.

    Returns:
      A schema with one feature for each, in the order of the config.
    """
    schema = schema_pb2.Schema()
    for name, feature in spec.root.items():
        column = schema.feature.add(name=name, type=schema_pb2.BYTES)
        column.value_count.min = 0
        column.value_count.max = feature.last if isinstance(feature, Sequence) else 1
    return schema
