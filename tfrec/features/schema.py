"""FeatureSpec -> TensorFlow Metadata schema of the raw columns."""

from tensorflow_metadata.proto.v0 import schema_pb2

from tfrec.features.spec import (
    Categorical,
    Feature,
    FeatureSpec,
    Numeric,
    Sequence,
    Text,
    Vector,
)

_Representation = schema_pb2.TensorRepresentation


def raw_schema(spec: FeatureSpec) -> schema_pb2.Schema:
    """Describes the raw columns: type, how many values a row may have, range and role.

    Strings are bytes, numbers floats, moments whole numbers. A category, a text and a number have
    at most one value, a vector exactly `dim`; label, weight and time are in every row. The role
    stands in the annotation's tag.

    Args:
      spec: the features.

    Returns:
      A schema with one feature for each, in the order of the config, and with the tensors that
      TensorFlow Transform makes of them: dense for a vector, sparse for all others.
    """
    schema = schema_pb2.Schema()
    tensors = schema.tensor_representation_group[""].tensor_representation
    for name, feature in spec.root.items():
        column = schema.feature.add(name=name, type=_type(feature))
        column.annotation.tag.append(feature.role)
        _set_value_count(column, feature)
        if isinstance(feature, Numeric):
            _set_range(column, feature)
        tensors[name].CopyFrom(_representation(name, feature))
    return schema


def _type(feature: Feature) -> int:
    if isinstance(feature, Numeric):
        return schema_pb2.INT if feature.role == "time" else schema_pb2.FLOAT
    return schema_pb2.FLOAT if isinstance(feature, Vector) else schema_pb2.BYTES


def _set_value_count(column: schema_pb2.Feature, feature: Feature) -> None:
    count = column.value_count
    if isinstance(feature, Vector):
        count.min = count.max = feature.dim
    elif isinstance(feature, Sequence):
        count.max = feature.last
    elif isinstance(feature, Categorical | Numeric | Text):
        count.max = 1
    if feature.role in ("label", "weight", "time"):
        count.min = 1
        column.presence.min_fraction = 1


def _set_range(column: schema_pb2.Feature, feature: Numeric) -> None:
    domain = column.int_domain if feature.role == "time" else column.float_domain
    number = int if feature.role == "time" else float
    if feature.min is not None:
        domain.min = number(feature.min)
    if feature.max is not None:
        domain.max = number(feature.max)


def _representation(name: str, feature: Feature) -> schema_pb2.TensorRepresentation:
    if isinstance(feature, Vector):
        shape = schema_pb2.FixedShape(dim=[schema_pb2.FixedShape.Dim(size=feature.dim)])
        return _Representation(
            dense_tensor=_Representation.DenseTensor(column_name=name, shape=shape)
        )
    return _Representation(
        varlen_sparse_tensor=_Representation.VarLenSparseTensor(column_name=name)
    )
