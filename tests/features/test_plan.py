from every_kind import Fitted

from tfrec.features import FeatureSpec
from tfrec.features.plan import Table, embedding_plan


def test_table_has_a_row_for_each_known_value_and_the_unknown_rows_behind(
    spec: FeatureSpec, fitted: Fitted
) -> None:
    assert embedding_plan(spec, fitted.transform) == {
        "shopper": Table(2 + 3, 4, unknown_rows=3),
        "age": Table(4 + 1, 2, unknown_rows=1),
        "sku": Table(2 + 1, 4, unknown_rows=1),
        "brand": Table(50 + 2, 4, unknown_rows=2),
        "shelf": Table(10 + 3, 4, unknown_rows=3),
        "tags": Table(2 + 1, 3, unknown_rows=1),
        "colours": Table(20 + 1, 3, unknown_rows=1),
        "flat": Table(3 + 1, 2, unknown_rows=1),
        "title": Table(64, 4),
        "weekday": Table(2 + 1, 4, unknown_rows=1),
    }


def test_tables_are_those_of_what_is_embedded(spec: FeatureSpec, fitted: Fitted) -> None:
    embedded = ["recent_skus", "flat"]

    tables = embedding_plan(spec, fitted.transform, embedded)

    every = embedding_plan(spec, fitted.transform)
    assert tables == {name: every[name] for name in ("sku", "flat")}


def test_every_row_that_the_transform_gives_is_in_its_table(
    spec: FeatureSpec, fitted: Fitted
) -> None:
    tables = embedding_plan(spec, fitted.transform)
    tables["recent_skus"], tables["recent_brands"] = tables["sku"], tables["brand"]

    for name, table in tables.items():
        rows = [row for values in fitted.rows[name] for row in values]
        assert 0 <= min(rows) <= max(rows) < table.rows, name
