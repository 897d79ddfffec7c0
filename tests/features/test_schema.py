import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from tfrec.features import FeatureSpec, Vector
from tfrec.features.schema import raw_schema

Columns = dict[str, schema_pb2.Feature]


@pytest.fixture
def columns(spec: FeatureSpec) -> Columns:
    return {column.name: column for column in raw_schema(spec).feature}


def test_schema_has_a_column_for_each_feature_with_its_role(
    spec: FeatureSpec, columns: Columns
) -> None:
    assert list(columns) == list(spec.root)
    assert {name: list(column.annotation.tag) for name, column in columns.items()} == {
        name: [feature.role] for name, feature in spec.root.items()
    }


def test_numbers_and_vectors_are_floats_moments_whole_and_all_else_bytes(columns: Columns) -> None:
    of_type = {
        kind: {name for name, column in columns.items() if column.type == kind}
        for kind in (schema_pb2.FLOAT, schema_pb2.INT)
    }

    assert of_type[schema_pb2.INT] == {"at"}
    assert of_type[schema_pb2.FLOAT] == {
        *("age", "price", "grams", "stock", "constant", "flat"),
        *("image", "bought", "importance"),
    }
    others = columns.keys() - set().union(*of_type.values())
    assert {columns[name].type for name in others} == {schema_pb2.BYTES}


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("sku", 0, 1),
        ("title", 0, 1),
        ("price", 0, 1),
        ("recent_skus", 0, 5),
        ("recent_brands", 0, 3),
        ("image", 3, 3),
        ("bought", 1, 1),
        ("at", 1, 1),
    ],
)
def test_row_has_as_many_values_as_its_kind_allows(
    name: str, least: int, most: int, columns: Columns
) -> None:
    count = columns[name].value_count

    assert (count.min, count.max) == (least, most)


def test_row_may_have_any_number_of_several_categories(columns: Columns) -> None:
    assert not columns["tags"].value_count.HasField("max")


def test_label_weight_and_time_are_in_every_row(columns: Columns) -> None:
    required = {name for name, column in columns.items() if column.presence.min_fraction == 1}

    assert required == {"bought", "importance", "at"}


def test_range_of_a_number_is_that_of_the_spec(columns: Columns) -> None:
    price, age, at = (columns[name] for name in ("price", "age", "at"))

    assert (price.float_domain.min, price.float_domain.max) == (0, 1000)
    assert age.float_domain.min == 0
    assert not age.float_domain.HasField("max")
    assert at.int_domain.min == 1_600_000_000
    assert not columns["grams"].float_domain.HasField("min")


def test_vectors_become_dense_tensors_and_all_else_sparse_ones(spec: FeatureSpec) -> None:
    tensors = raw_schema(spec).tensor_representation_group[""].tensor_representation

    assert list(tensors["image"].dense_tensor.shape.dim) == [schema_pb2.FixedShape.Dim(size=3)]
    for name in spec.root.keys() - spec.of_kind(Vector).keys():
        assert tensors[name].varlen_sparse_tensor.column_name == name
