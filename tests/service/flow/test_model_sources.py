"""What sources ask of models, and what they make of the answers."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from flow_states import make_state
from gateway_shop import COMPANIONS, IDS, MODEL, SIGNATURES

from tfrec.errors import UserError
from tfrec.service.flow.model_sources import Companions, Retrieval, SearchSource, TextModel, Told
from tfrec.service.flow.models import Answer, Models
from tfrec.service.flow.shop import Shop
from tfrec.service.search.search import Search
from tfrec.serving.signature import Signature, TensorSpec

_PLAIN = SIGNATURES[MODEL]["recommend"]
_TEXTS = TensorSpec("string", (None, None))
_NUMBER = TensorSpec("float32", (None,))
FILTERED = Signature(
    {
        **_PLAIN.inputs, "new_items": TensorSpec("int32", ()), "only_aisle": _TEXTS,
        "least_weight": _NUMBER, "most_weight": _NUMBER,
    },
    _PLAIN.outputs,
    "",
)  # fmt: skip
KNOWN = {
    MODEL: {"recommend": _PLAIN, "recommend_filtered": FILTERED},
    COMPANIONS: SIGNATURES[COMPANIONS],
    "texts": {"recommend": Signature({"query": TensorSpec("string", (None,)), **_PLAIN.inputs},
                                     _PLAIN.outputs, "")},
}  # fmt: skip


class Recommends(Models):
    """Recommends the same items whatever it is asked, and keeps the questions."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), []

    async def signatures(self, model: str) -> Mapping[str, Signature]:
        return KNOWN[model]

    async def run(
        self,
        model: str,
        signature: str,
        inputs: Mapping[str, np.ndarray],
    ) -> Answer:
        assert set(inputs) == set(KNOWN[model][signature].inputs)
        self.asked.append((signature, {name: value.tolist() for name, value in inputs.items()}))
        ids = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return Answer({"ids": np.array([[one.encode() for one in ids]], object)}, "7")

    async def close(self) -> None:
        """Has nothing to let go of."""


def found(source: Any, state: Any, count: int = 5) -> Told:
    return asyncio.run(source.find(state, count))


def test_retrieval_asks_with_what_is_known_and_takes_what_the_catalogue_has(
    toy_shop: Shop,
) -> None:
    models = Recommends(["item-07", "gone", "item-02", ""])
    features = {"visitor": "ann", "recent": ["item-01"], "weekday": "Monday", "hour_sent": 3.5}
    state = make_state(hidden=[3], asked=[4], exclude=["item-05", "nothing"])

    told = found(Retrieval(toy_shop, models, MODEL), state.having(features=features))

    assert (told.found.rows.tolist(), told.version) == ([7, 2], "7")
    assert models.asked == [
        (
            "recommend",
            {
                "visitor": [b"ann"], "recent": [[b"item-01"]], "weekday": [b"Monday"],
                "device": [b""], "hour_sent": [3.5], "k": 5,
                "exclude": [[b"item-03", b"item-04", b"item-05"]],
            },
        )
    ]  # fmt: skip


def test_a_bundle_that_filters_is_asked_for_what_passes(toy_shop: Shop) -> None:
    models = Recommends(["item-07"])
    filters = {"only": {"aisle": ["aisle-1"], "brand": ["Best"]}, "most": {"weight": 9}}

    found(Retrieval(toy_shop, models, MODEL), make_state(filters=filters))

    ((signature, inputs),) = models.asked
    assert signature == "recommend_filtered"
    assert inputs["only_aisle"] == [[b"aisle-1"]]
    assert inputs["most_weight"] == [9]
    assert np.isnan(inputs["least_weight"]).all()
    assert inputs["new_items"] == 0


def test_no_more_is_asked_for_than_the_catalogue_holds(toy_shop: Shop) -> None:
    models = Recommends(["item-07"])

    found(Retrieval(toy_shop, models, MODEL), make_state(), count=200)

    assert models.asked[0][1]["k"] == len(IDS)


def test_a_feature_that_is_no_such_value_is_named(toy_shop: Shop) -> None:
    state = make_state().having(features={"device": 3})

    with pytest.raises(UserError, match="device: 3 is no text"):
        found(Retrieval(toy_shop, Recommends(["item-07"]), MODEL), state)


def test_companions_are_there_for_the_item_that_they_go_with_best(toy_shop: Shop) -> None:
    models = Recommends(["item-09", "item-08"], ["item-08", "item-06"])

    told = found(Companions(toy_shop, models, COMPANIONS), make_state(asked=[1, 2]))

    assert told.found.rows[0] == 8
    assert told.found.subjects is not None
    subjects = dict(zip(told.found.rows.tolist(), told.found.subjects.tolist(), strict=True))
    assert subjects == {8: 2, 9: 1, 6: 2}
    assert [one[1]["item"] for one in models.asked] == [[b"item-01"], [b"item-02"]]
    assert models.asked[0][1]["exclude"] == [[b"item-01", b"item-02"]]


def test_a_model_of_texts_is_asked_by_the_query(toy_shop: Shop) -> None:
    models = Recommends(["item-09"])
    source = TextModel(toy_shop, models, "texts", "query")

    told = found(source, make_state(query="café"))

    assert told.found.rows.tolist() == [9]
    assert models.asked[0][1]["query"] == ["café".encode()]
    assert len(found(source, make_state()).found.rows) == 0


def test_search_looks_among_what_is_allowed_if_there_is_anything(toy_shop: Shop) -> None:
    source = SearchSource(toy_shop, Search(toy_shop.catalogue))
    cheap = {"most": {"price": 2.0}}

    some = found(source, make_state(query="cheese", filters=cheap), count=3)
    none = found(source, make_state(query="cheese", filters={"most": {"price": 0}}), count=3)

    assert some.found.rows.tolist() == [3]
    assert len(none.found.rows) == 3  # so that the filter that takes them out is named
