import itertools
import math
import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from every_kind import CATEGORY, ITEM, ROWS, USER, Fitted, Rows, as_sent, to_lists

from tfrec.config import validate
from tfrec.features import FeatureSpec
from tfrec.features.plan import Dynamic, Table, embedding_plan
from tfrec.features.signature import sparse_inputs
from tfrec.features.spec import EvictByAge

Serve = Callable[..., dict[str, list[list]]]


def column(rows: list[list]) -> list:
    """The only value of each row."""
    return [value for (value,) in rows]


def bucket(string: str, buckets: int) -> int:
    return int(tf.strings.to_hash_bucket_fast(string, buckets))


def numbers(name: str) -> np.ndarray:
    """The raw numbers of a feature as float32, NaN where there is none."""
    return np.array([math.nan if value is None else value for value in ROWS[name]], np.float32)


def words(fitted: Fitted, name: str) -> list[str]:
    return [word.decode() for word in fitted.transform.vocabulary_by_name(name)]


@pytest.mark.parametrize("name", [name for name in ROWS if name != "at"])
def test_serving_gives_the_rows_of_training(name: str, fitted: Fitted, serve: Serve) -> None:
    assert serve(**{name: ROWS[name]})[name] == fitted.rows[name]


def test_vocabulary_holds_values_that_are_frequent_enough(fitted: Fitted) -> None:
    assert sorted(words(fitted, "shopper")) == ["u1", "u2"]
    assert sorted(words(fitted, "tags")) == ["x", "y"]
    assert sorted(words(fitted, "weekday")) == ["Monday", "Sunday"]


def test_vocabulary_with_rows_keeps_the_most_frequent_values(fitted: Fitted) -> None:
    assert sorted(words(fitted, "sku")) == ["a", "b"]


def test_value_of_a_vocabulary_takes_its_row_and_any_other_an_unknown_row_by_its_hash(
    fitted: Fitted,
) -> None:
    known = words(fitted, "shopper")

    expected = [
        known.index(value) if value in known else 2 + bucket(value or "", 3)
        for value in ROWS["shopper"]
    ]

    assert column(fitted.rows["shopper"]) == expected


def test_unknown_values_spread_over_all_unknown_rows(serve: Serve) -> None:
    strangers = [f"stranger {number}" for number in range(60)]

    assert set(column(serve(shopper=strangers)["shopper"])) == {2, 3, 4}
    assert set(column(serve(brand=strangers)["brand"])) <= set(range(50))


def test_hash_takes_the_string_modulo_rows_and_a_missing_value_an_unknown_row(
    fitted: Fitted,
) -> None:
    expected = [bucket(value, 50) if value else 50 + bucket("", 2) for value in ROWS["brand"]]

    assert column(fitted.rows["brand"]) == expected


def test_hash_of_a_string_never_changes(serve: Serve) -> None:
    assert column(serve(brand=["acme", "éclair"])["brand"]) == [31, 13]


def test_identity_takes_whole_numbers_below_rows_and_all_else_is_unknown(fitted: Fitted) -> None:
    expected = [
        int(value) if value in ("0", "9", "007", "5") else 10 + bucket(value or "", 3)
        for value in ROWS["shelf"]
    ]

    assert column(fitted.rows["shelf"]) == expected
    assert len(set(expected) & {10, 11, 12}) > 1


def test_several_categories_are_looked_up_each(fitted: Fitted) -> None:
    known = words(fitted, "tags")

    assert fitted.rows["tags"] == [
        [known.index(tag) if tag in known else len(known) for tag in row] for row in ROWS["tags"]
    ]
    assert fitted.rows["colours"] == [
        [bucket(colour, 20) for colour in row] for row in ROWS["colours"]
    ]


def test_sequence_shares_the_lookup_of_its_feature(fitted: Fitted) -> None:
    known = words(fitted, "sku")

    assert fitted.rows["recent_skus"] == [
        [known.index(sku) if sku in known else 2 for sku in row] for row in ROWS["recent_skus"]
    ]
    assert fitted.rows["recent_brands"] == [
        [bucket(brand, 50) for brand in row] for row in ROWS["recent_brands"]
    ]


@pytest.mark.parametrize(("name", "before"), [("grams", np.asarray), ("price", np.log1p)])
def test_number_is_standardised_by_the_training_rows_and_a_missing_one_is_the_mean(
    name: str, before: Callable[[np.ndarray], np.ndarray], fitted: Fitted
) -> None:
    values = before(numbers(name))

    expected = np.nan_to_num((values - np.nanmean(values)) / np.nanstd(values))

    np.testing.assert_allclose(column(fitted.rows[name]), expected, rtol=1e-5, atol=1e-6)


def test_number_without_a_transform_stays_and_a_missing_one_is_zero(fitted: Fitted) -> None:
    assert column(fitted.rows["stock"]) == np.nan_to_num(numbers("stock")).tolist()


def test_constant_number_becomes_zero(fitted: Fitted, serve: Serve) -> None:
    assert set(column(fitted.rows["constant"])) == {0.0}
    assert np.isfinite(column(serve(constant=[8.5, None])["constant"])).all()


def test_buckets_are_cut_at_quantiles_and_a_missing_number_has_its_own(fitted: Fitted) -> None:
    rows = column(fitted.rows["age"])

    present = [row for row in rows if row != 4]
    assert [row == 4 for row in rows] == [age is None for age in ROWS["age"]]
    assert present == sorted(present)  # as the ages are
    assert set(Counter(present)) == {0, 1, 2, 3}
    assert max(Counter(present).values()) <= math.ceil(len(present) / 4) + 1


def test_number_beyond_those_of_training_falls_into_the_first_or_the_last_bucket(
    serve: Serve,
) -> None:
    assert column(serve(age=[-1e9, 1e9])["age"]) == [0, 3]


def test_constant_number_falls_into_one_bucket(fitted: Fitted) -> None:
    *rows, missing = column(fitted.rows["flat"])

    assert len(set(rows)) == 1
    assert rows[0] in range(3)
    assert missing == 3


def ngrams(text: str | None, rows: int) -> list[int]:
    """Hashed words and pairs of words, recomputed from their definition."""
    tokens = re.findall(r"[^\W_]+", (text or "").lower())
    pairs = [" ".join(pair) for pair in itertools.pairwise(tokens)]
    return sorted(bucket(ngram, rows) for ngram in tokens + pairs)


def test_text_becomes_hashed_words_and_pairs_of_words(fitted: Fitted) -> None:
    expected = [ngrams(title, 64) for title in ROWS["title"]]

    assert [sorted(row) for row in fitted.rows["title"]] == expected
    assert [len(row) for row in expected[:6]] == [5, 0, 0, 5, 0, 5]


@pytest.mark.parametrize(
    ("one", "other"),
    [("Red Shoes", "RED  shoes!"), ("ÉTÉ", "été"), ("a-b", "a b"), ("50 % off", "50 off")],
)
def test_case_and_punctuation_of_a_text_do_not_count(one: str, other: str, serve: Serve) -> None:
    first, second = serve(title=[one, other])["title"]

    assert first == second != []


def test_batch_without_a_single_word_has_no_ngrams(serve: Serve) -> None:
    assert serve(title=["", "?!"])["title"] == [[], []]


def test_vector_stays_as_it_is(fitted: Fitted) -> None:
    assert fitted.rows["image"] == ROWS["image"]


def test_label_weight_and_time_stay_as_they_are(fitted: Fitted) -> None:
    for name in ("bought", "importance", "at"):
        assert column(fitted.rows[name]) == ROWS[name]
    assert fitted.transform.transformed_feature_spec()["at"].dtype == tf.int64


def test_rows_are_int64_and_numbers_float32(fitted: Fitted) -> None:
    outputs = fitted.transform.transformed_feature_spec()
    floats = {"price", "grams", "stock", "constant", "image", "bought", "importance"}

    assert {name for name, output in outputs.items() if output.dtype == tf.float32} == floats
    assert {outputs[name].dtype for name in outputs.keys() - floats} == {tf.int64}


def test_columns_without_a_single_value_fit_into_their_tables(
    spec: FeatureSpec, fit: Callable[[dict[str, list]], Fitted]
) -> None:
    always = {"image", "bought", "importance", "at"}
    empty = {name: [[] if isinstance(v, list) else None for v in ROWS[name]] for name in ROWS}

    fitted = fit({name: ROWS[name] if name in always else empty[name] for name in ROWS})

    tables = embedding_plan(spec, fitted.transform)
    for name, rows in fitted.rows.items():
        values = np.concatenate(rows)
        assert np.isfinite(values).all(), name
        assert name not in tables or np.all((values >= 0) & (values < tables[name].rows)), name


DYNAMIC = {
    "shopper": {**USER, **CATEGORY},
    "sku": {
        **ITEM,
        **CATEGORY,
        "lookup": "dynamic",
        "rows": 100,
        "min_count": 2,
        "unknown_rows": 3,
        "evict": {"by": "age", "after": "30d"},
    },
    "recent": {**USER, "kind": "sequence", "of": "sku", "last": 3},
    "wished": {**USER, "kind": "multi_categorical", "share": "sku"},
    "tag": {**ITEM, **CATEGORY, "min_count": 2},
    "main_tag": {**ITEM, "kind": "categorical", "share": "tag", "embedding": 4},
    "liked": {**USER, "kind": "multi_categorical", "share": "tag"},
    "recent_tags": {**USER, "kind": "sequence", "of": "main_tag", "last": 3},
}
DYNAMIC_ROWS: Rows = {
    "shopper": ["u"] * 4,
    "sku": ["a", "b", None, "a"],
    "recent": [["b", "c"], [], ["a"], []],
    "wished": [[], ["a", "d"], [], ["b"]],
    "tag": ["x", "x", "y", "y"],
    "main_tag": ["y", "new", "new", None],
    "liked": [["x", "new"], [], ["y"], ["new"]],
    "recent_tags": [["x"], ["new"], [], ["y", "y"]],
}


@pytest.fixture(scope="module")
def dynamic(fit_spec: Callable[[FeatureSpec, Rows], Fitted]) -> tuple[FeatureSpec, Fitted]:
    spec = validate(FeatureSpec, DYNAMIC, "features")
    return spec, fit_spec(spec, DYNAMIC_ROWS)


def fingerprint(string: str | None) -> int:
    return bucket(string, 2**63 - 1) if string else -1


def test_dynamic_lookup_gives_fingerprints_and_minus_one_for_a_missing_value(
    dynamic: tuple[FeatureSpec, Fitted],
) -> None:
    rows = dynamic[1].rows

    assert column(rows["sku"]) == [fingerprint(value) for value in DYNAMIC_ROWS["sku"]]
    for name in ("recent", "wished"):
        assert rows[name] == [[fingerprint(v) for v in values] for values in DYNAMIC_ROWS[name]]


def test_fingerprint_of_a_string_never_changes() -> None:
    assert [fingerprint(string) for string in ("acme", "éclair")] == [
        301347925294522931,
        2181003528071170506,
    ]


def test_shared_lookup_is_fitted_on_the_values_of_the_feature_that_owns_it(
    dynamic: tuple[FeatureSpec, Fitted],
) -> None:
    known = words(dynamic[1], "tag")

    def row(value: str | None) -> int:
        return known.index(value) if value in known else len(known)

    assert sorted(known) == ["x", "y"]
    assert column(dynamic[1].rows["main_tag"]) == [row(v) for v in DYNAMIC_ROWS["main_tag"]]
    for name in ("liked", "recent_tags"):
        expected = [[row(value) for value in values] for values in DYNAMIC_ROWS[name]]
        assert dynamic[1].rows[name] == expected


def test_serving_gives_the_fingerprints_and_the_shared_rows_of_training(
    dynamic: tuple[FeatureSpec, Fitted],
) -> None:
    spec, fitted = dynamic
    layer = fitted.transform.transform_features_layer()

    for name, values in DYNAMIC_ROWS.items():
        served = layer(sparse_inputs({name: as_sent(spec[name], values)}))[name]
        assert to_lists(served) == fitted.rows[name], name


def test_plan_says_how_rows_are_given_out_and_has_no_table_for_those_who_share_one(
    dynamic: tuple[FeatureSpec, Fitted],
) -> None:
    spec, fitted = dynamic

    assert embedding_plan(spec, fitted.transform) == {
        "shopper": Table(1 + 1, 4, unknown_rows=1),
        "sku": Table(100 + 3, 4, 3, Dynamic(2, EvictByAge(by="age", after=30 * 86_400))),
        "tag": Table(2 + 1, 4, unknown_rows=1),
    }
