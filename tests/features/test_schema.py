from tensorflow_metadata.proto.v0 import schema_pb2

from tfrec.features import FeatureSpec
from tfrec.features.schema import raw_schema


def test_schema_has_a_column_of_strings_for_each_feature(spec: FeatureSpec) -> None:
    schema = raw_schema(spec)

    assert [column.name for column in schema.feature] == list(spec.root)
    assert {column.type for column in schema.feature} == {schema_pb2.BYTES}


def test_category_may_be_absent_and_a_sequence_holds_at_most_its_last(spec: FeatureSpec) -> None:
    counts = {column.name: column.value_count for column in raw_schema(spec).feature}

    assert (counts["sku"].min, counts["sku"].max) == (0, 1)
    assert (counts["recent"].min, counts["recent"].max) == (0, 5)
