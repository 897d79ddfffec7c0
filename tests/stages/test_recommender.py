from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import tensorflow as tf

from tfrec.data.catalogue import ID, NAME
from tfrec.data.events import USER
from tfrec.data.prepared import PreparedData
from tfrec.data.queries import LAST_TIME
from tfrec.errors import UserError
from tfrec.retrieval.filters import NEW_ITEMS
from tfrec.serving import Client, ModelServer
from tfrec.serving.names import EXCLUDE, FILTERED, IDS, RECOMMEND, SCORES, K
from tfrec.stages.artifact import Artifact, Manifest
from tfrec.stages.recommender import Recommender, Wanted

MOMENT = datetime(2020, 9, 12, 6)  # A Saturday, in UTC.
ONE, SEVERAL = [None], [None, None]
CHEAP: Any = "cheap"
INPUTS = {
    name: tf.TensorSpec(shape, dtype, name)
    for name, shape, dtype in [
        ("shopper", ONE, tf.string),
        ("recent", SEVERAL, tf.string),
        ("genres", SEVERAL, tf.string),
        ("weekday", ONE, tf.string),
        ("price", ONE, tf.float32),
        ("style", [None, 3], tf.float32),
        ("days_since_last_visit", ONE, tf.float32),
        ("visits_before", ONE, tf.float32),
        (K, [], tf.int32),
        (EXCLUDE, SEVERAL, tf.string),
    ]
}


CONDITIONS = {
    name: tf.TensorSpec(shape, dtype, name)
    for name, shape, dtype in [
        ("only_kind", SEVERAL, tf.string),
        ("least_cost", ONE, tf.float32),
        ("most_cost", ONE, tf.float32),
        (NEW_ITEMS, [], tf.int32),
    ]
}


class TellsItsInputs(tf.Module):
    """Recommends one item again and again; its scores are genres, the price or -1, and style.

    With conditions they are wanted kinds, the bounds of cost or -1, and the new items wanted.
    """

    @tf.function(input_signature=[{**INPUTS, **CONDITIONS}])
    def recommend_filtered(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        kinds = tf.math.count_nonzero(inputs["only_kind"] != "", axis=1, dtype=tf.float32)
        bounds = (inputs[name] for name in ("least_cost", "most_cost"))
        new = tf.fill(tf.shape(kinds), tf.cast(inputs[NEW_ITEMS], tf.float32))
        told = (kinds, *(tf.where(tf.math.is_nan(bound), -1.0, bound) for bound in bounds), new)
        scores = tf.stack(told, axis=1)
        return {IDS: tf.fill(tf.shape(scores), "a"), SCORES: scores}

    @tf.function(input_signature=[INPUTS])
    def recommend(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        genres = tf.math.count_nonzero(inputs["genres"] != "", axis=1, dtype=tf.float32)
        price = tf.where(tf.math.is_nan(inputs["price"]), -1.0, inputs["price"])
        scores = tf.stack([genres, price, *tf.unstack(inputs["style"], axis=1)], axis=1)
        return {IDS: tf.fill(tf.shape(scores), "a"), SCORES: scores}


def write_artifact(path: Path, **summary: Any) -> Artifact:
    manifest = Manifest(
        stage="any",
        id="1",
        digest="2",
        config={},
        inputs={},
        versions={},
        seconds=0,
        peak_memory_bytes=0,
        summary=summary,
    )
    (path / "manifest.json").write_text(manifest.model_dump_json())
    return Artifact(path)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """What a recommender reads of prepared data: one shopper and two items."""
    data = PreparedData(tmp_path_factory.mktemp("prepared"))
    data.profiles.mkdir()
    items = pa.table({ID: ["a", "b"], NAME: ["the a", "the b"]})
    pa.parquet.write_table(items, data.catalogue)
    last = datetime(2020, 9, 10, tzinfo=timezone.utc)
    profiles = {
        USER: ["ann"],
        "shopper": ["ann"],
        "recent": [["b", "a"]],
        "visits_before": [4.0],
        "days_since_last_visit": [0.1],
        LAST_TIME: [int(last.timestamp())],
    }
    pa.parquet.write_table(pa.table(profiles), data.profiles / "0.parquet")
    return write_artifact(data.path, user="shopper", item="sku")


@pytest.fixture(scope="module")
def bundle(prepared: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a model that tells what it got."""
    path = tmp_path_factory.mktemp("bundle")
    module = TellsItsInputs()
    signatures = {RECOMMEND: module.recommend, FILTERED: module.recommend_filtered}
    tf.saved_model.save(module, str(path / "shop" / "1"), signatures=signatures)
    write_artifact(path, name="shop", version=1, prepared=str(prepared.path))
    return path


@pytest.fixture(scope="module")
def local(bundle: Path) -> Recommender:
    return Recommender.load(bundle)


@pytest.fixture(scope="module", params=["grpc", "http"])
def remote(
    bundle: Path, prepared: Artifact, request: pytest.FixtureRequest
) -> Iterator[Recommender]:
    with ModelServer({"shop": bundle / "shop"}, port=0, rest_api_port=0) as server:
        port = server.port if request.param == "grpc" else server.rest_api_port
        with Client(f"{request.param}://127.0.0.1:{port}") as client:
            yield Recommender.connect(client, "shop", prepared)


def test_what_a_question_leaves_out_comes_from_profile_and_calendar(local: Recommender) -> None:
    question = local.question({"shopper": "ann"}, k=2, exclude=["b"], moment=MOMENT)

    assert {name: value.tolist() for name, value in question.items() if name != "price"} == {
        "shopper": ["ann"],
        "recent": [["b", "a"]],
        "genres": [[""]],
        "weekday": ["Saturday"],
        "style": [[0, 0, 0]],
        "days_since_last_visit": [2.25],
        "visits_before": [4],
        "k": 2,
        "exclude": [["b"]],
    }
    np.testing.assert_array_equal(question["price"], np.array([np.nan], np.float32))


def test_numbers_and_vectors_are_float32(local: Recommender) -> None:
    question = local.question({"price": 3, "style": np.array([1, 2, 3])}, k=1)

    assert {question[name].dtype for name in ("price", "style", "visits_before")} == {
        np.dtype(np.float32)
    }
    assert question["price"].tolist() == [3]
    assert question["style"].tolist() == [[1, 2, 3]]


def test_what_is_given_stands_before_profile_and_calendar(local: Recommender) -> None:
    given = {"shopper": "ann", "recent": ["c"], "weekday": "Monday", "visits_before": 1.5}

    question = local.question(given, k=1, moment=MOMENT)

    assert question["recent"].tolist() == [["c"]]
    assert question["weekday"].tolist() == ["Monday"]
    assert question["visits_before"].tolist() == [1.5]


@pytest.mark.parametrize("features", [{"shopper": "nobody"}, {}])
def test_shopper_without_a_profile_has_made_no_visit(
    local: Recommender, features: dict[str, str]
) -> None:
    question = local.question(features, k=1)

    assert question["recent"].tolist() == [[""]]
    assert question["visits_before"].tolist() == [0]
    assert np.isnan(question["days_since_last_visit"]).all()


def test_text_of_the_command_line_is_read_by_what_the_model_takes(local: Recommender) -> None:
    values = {"price": "3.5", "genres": "a,b", "style": "1,-2,0.5", "weekday": "Fri, the 13th"}

    question = local.question(local.parse(values), k=1)

    assert question["price"].tolist() == [3.5]
    assert question["genres"].tolist() == [["a", "b"]]
    assert question["style"].tolist() == [[1, -2, 0.5]]
    assert question["weekday"].tolist() == ["Fri, the 13th"]


@pytest.mark.parametrize(
    ("feature", "value", "message"),
    [
        ("price", "cheap", "price: 'cheap' is no number; give one, e.g. 3.5"),
        ("price", [1, 2], r"price: \[1, 2\] is no number; give one"),
        ("style", [1, 2], r"style: \[1, 2\] is no vector of 3 numbers; give as many"),
        ("style", ["1", "2", "x"], r"style: \['1', '2', 'x'\] is no vector of 3 numbers"),
        ("style", [1, 2, None], r"style: \[1, 2, None\] is no vector of 3 numbers"),
        ("style", 1.5, "style: 1.5 is no vector of 3 numbers"),
        ("style", list(range(512)), r"style: \[0, 1, 2, 3, 4, 5, \.\.\.\] is no vector of 3"),
        ("shopper", 2375, "shopper: 2375 is no text; give it in quotes"),
        ("shopper", ["ann"], r"shopper: \['ann'\] is no text"),
        ("genres", ["a", 2], "genres: 2 is no text"),
        ("genres", 2, "genres: 2 is no text"),
        ("prize", 2, "prize: no such feature; the model takes days_since_last_visit, genres, "),
    ],
)
def test_value_that_is_none_of_its_feature_is_refused(
    local: Recommender, feature: str, value: Any, message: str
) -> None:
    with pytest.raises(UserError, match=f"^{message}"):
        local.question({feature: value}, k=1)


@pytest.mark.parametrize(
    ("features", "scores"),
    [
        ({"price": 2.5, "genres": ["x", "y"], "style": [1, -2, 0.5]}, [2, 2.5, 1, -2, 0.5]),
        ({"shopper": "ann"}, [0, -1, 0, 0, 0]),
    ],
)
def test_both_protocols_carry_numbers_vectors_and_missing_ones_as_the_process_does(
    local: Recommender, remote: Recommender, features: dict[str, Any], scores: list[float]
) -> None:
    answers = [asked.recommend(k=1, moment=MOMENT, **features) for asked in (local, remote)]

    assert [[item.score for item in items] for items in answers] == [scores] * 2
    assert answers[0][0].name == "the a"


@pytest.mark.parametrize(
    ("wanted", "scores"),
    [
        (Wanted(only={"kind": ["tea", "jam"]}), [2, -1, -1, 0]),
        (Wanted(least={"cost": 2.5}, most={"cost": 9}), [0, 2.5, 9, 0]),
        (Wanted(new_items=3), [0, -1, -1, 3]),
    ],
)
def test_what_is_wanted_is_asked_of_the_filtered_signature(
    local: Recommender, remote: Recommender, wanted: Wanted, scores: list[float]
) -> None:
    for asked in (local, remote):
        items = asked.recommend(k=1, moment=MOMENT, wanted=wanted, shopper="ann")
        assert [item.score for item in items] == scores


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(only={"colour": ["red"]}), r"^only_colour: the bundle filters by least_cost, "),
        (Wanted(least={"cost": CHEAP}), r"^least_cost: 'cheap' is no number"),
    ],
)
def test_what_cannot_be_wanted_is_refused_by_name(
    local: Recommender, wanted: Wanted, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        local.recommend(k=1, wanted=wanted, shopper="ann")


def test_bundle_without_filters_says_how_to_get_them(prepared: Artifact) -> None:
    plain = Recommender(lambda *_: {}, {RECOMMEND: {}}, prepared)

    with pytest.raises(UserError, match=r"^new_items: .* filters by nothing; .* serving.filters "):
        plain.recommend(k=1, wanted=Wanted(new_items=1))


def test_many_are_answered_in_one_request_as_each_alone(
    remote: Recommender,
) -> None:
    queries: list[dict[str, Any]] = [
        {"shopper": "ann", "genres": ["x", "y", "z"], "price": 2.5},
        {"shopper": "nobody", "style": [1, 2, 3]},
        {"genres": ["x"]},
    ]
    wanted = Wanted(only={"kind": ["a", "b"]}, most={"cost": 9.5}, new_items=1)

    for conditions in (None, wanted):
        table = remote.recommend_many(queries, k=1, moment=MOMENT, wanted=conditions)

        alone = [
            (place, rank, *item)
            for place, query in enumerate(queries)
            for rank, item in enumerate(
                remote.recommend(1, moment=MOMENT, wanted=conditions, **query), 1
            )
        ]
        assert list(table.itertuples(index=False, name=None)) == alone
        assert table.columns.tolist() == ["query", "rank", "id", "name", "score"]


def test_many_need_one_at_least(local: Recommender) -> None:
    with pytest.raises(UserError, match="queries: there is none; give the features"):
        local.recommend_many([])
