"""Asking a bundle what to recommend, in this process or over a server."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tensorflow.core.framework import types_pb2

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import Profiles, calendar_features
from tfrec.errors import UserError
from tfrec.retrieval.filters import LEAST, MOST, NEW_ITEMS, ONLY
from tfrec.serving.client import Client
from tfrec.serving.names import (
    BASELINES,
    BECAUSE_OF,
    BECAUSE_YOU_BOUGHT,
    BUY_AGAIN,
    EXCLUDE,
    EXPLAIN,
    EXPLANATION,
    FEATURES,
    FILTERED,
    HISTORY,
    HISTORY_METHOD,
    IDS,
    ITEMS,
    OF_FEATURES,
    OF_HISTORY,
    REASONS,
    RECOMMEND,
    REMAINDER,
    SCORES,
    K,
)
from tfrec.serving.query_inputs import query_input
from tfrec.serving.servable import Servable
from tfrec.serving.signature import TensorSpec, dtype_name
from tfrec.stages.artifact import Artifact
from tfrec.stages.export import ServingBundle

Predict = Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Runs a signature of a bundle: its name and inputs -> its outputs."""

Value = str | float | Sequence[str] | Sequence[float]
"""A raw feature of one shopper: a category, text or number, or a list of either."""


class Wanted(NamedTuple):
    """Which items may be recommended, by features that the bundle filters by.

    Attributes:
      only: category -> the values of which an item has to have one.
      least: number -> the least that it has to be.
      most: number -> the most.
      new_items: how many items at least are to be new to the model, where there are so many.
    """

    only: Mapping[str, Sequence[str]] = {}
    least: Mapping[str, float] = {}
    most: Mapping[str, float] = {}
    new_items: int = 0


class Recommendation(NamedTuple):
    """One recommended item: its id, its name for people, and its score."""

    id: str
    name: str
    score: float


class Explanation(NamedTuple):
    """Why an item suits a shopper, or goes with an item.

    Attributes:
      id: of the item.
      name: for people; empty for an item that the catalogue lacks.
      score: that lists are ordered by, before the rules of re-ranking; NaN for an unknown item.
      reason: a code: `because_you_bought:ID`, `buy_again`, `because_of:FEATURE`, `popular`; empty
        for an item that is unknown or never recommended.
      baseline: the item's score for a shopper of whom nothing is known.
      features: feature -> what it adds to the baseline.
      history: id of an item of the history -> what it adds, in all its places together.
      method: how that was found: `exact`, `integrated_gradients`, `leave_one_out` or `none`.
      remainder: what of the score features leave unexplained.
    """

    id: str
    name: str
    score: float
    reason: str
    baseline: float
    features: dict[str, float]
    history: dict[str, float]
    method: str
    remainder: float

    def in_words(self, names: Mapping[str, str]) -> str:
        """The reason for people, with how much it adds: `because you bought Whole Milk (+0.41)`.

        Args:
          names: id of an item of the history -> its name.
        """
        code, _, of = self.reason.partition(":")
        words = code.replace("_", " ")
        if code == BECAUSE_YOU_BOUGHT:
            return f"{words} {names.get(of) or of} ({self.history[of]:+.2f})"
        if code == BECAUSE_OF:
            return f"{words} {of} ({self.features[of]:+.2f})"
        return f"{words} ({self.history[self.id]:+.2f})" if code == BUY_AGAIN else words


class Recommender:
    """Recommends items to shoppers, or what goes with an item, by a bundle's `recommend`.

    What a question leaves out is filled in: the shopper's features from the prepared data, as
    they were after the last event, and the calendar's and the days since that event from the
    moment. A shopper never seen is asked for with what is known, and gets what suits most. Where
    the model takes items, the item's features are those of the catalogue, and the item itself is
    not among the answers; an item that the catalogue lacks is asked for by features but the id.

    Example:
      >>> recommender = tfrec.Recommender.load(experiment.bundle)
      >>> recommender.recommend(household_id="2375", k=10)
    """

    def __init__(
        self,
        predict: Predict,
        signatures: Mapping[str, Mapping[str, TensorSpec]],
        prepared: Artifact,
    ) -> None:
        """Takes a way to run a bundle, what its signatures take, and prepared data."""
        self._predict = predict
        inputs, filtered = signatures[RECOMMEND], signatures.get(FILTERED, {})
        self._specs = {name: spec for name, spec in inputs.items() if name not in (K, EXCLUDE)}
        self._filters = {name: spec for name, spec in filtered.items() if name not in inputs}
        explain = signatures.get(EXPLAIN, {})
        self._explained = {name: spec for name, spec in explain.items() if name != ITEMS}
        self._user_feature = prepared.manifest.summary["user"]
        self._item_feature = prepared.manifest.summary["item"]
        data = PreparedData(prepared.path)
        self._catalogue, self._profiles = Catalogue(data.catalogue), Profiles(data.profiles)

    @classmethod
    def load(cls, bundle: ServingBundle | Path | str) -> "Recommender":
        """Loads a bundle into this process.

        Args:
          bundle: the artefact of the export stage, or its directory.

        Returns:
          A recommender that gives the answers a server of the same bundle gives.
        """
        bundle = bundle if isinstance(bundle, ServingBundle) else ServingBundle(Path(bundle))
        servable = Servable.load(bundle.version)

        def predict(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            encoded = {
                name: np.char.encode(value.astype(str), "utf-8").astype(object)
                if value.dtype == object
                else value
                for name, value in inputs.items()
            }
            outputs = EXPLANATION if signature == EXPLAIN else (IDS, SCORES)
            return servable.run(servable.signatures[signature], encoded, outputs)

        specs = {
            signature: {
                name: TensorSpec(
                    dtype_name(types_pb2.DataType.Name(info.dtype)),
                    tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim),
                )
                for name, info in servable.signatures[signature].inputs.items()
            }
            for signature in (RECOMMEND, FILTERED, EXPLAIN)
            if signature in servable.signatures
        }
        return cls(predict, specs, Artifact(bundle.prepared))

    @classmethod
    def connect(cls, client: Client, model: str, prepared: Artifact) -> "Recommender":
        """Asks a server.

        Args:
          client: the connection.
          model: the model's name on the server.
          prepared: the prepared data, for profiles and names.

        Returns:
          A recommender.
        """
        return cls(
            lambda signature, inputs: client.predict(model, inputs, signature=signature),
            {name: signature.inputs for name, signature in client.metadata(model).items()},
            prepared,
        )

    def recommend(
        self,
        k: int = 10,
        exclude: Sequence[str] = (),
        moment: datetime | None = None,
        wanted: Wanted | None = None,
        **features: Value,
    ) -> list[Recommendation]:
        """Recommends items to one shopper, or what goes with one item.

        Args:
          k: how many items, at most as many as the catalogue holds.
          exclude: ids of items not to recommend.
          moment: when, in UTC where it names no zone; now by default.
          wanted: which items may be recommended; all by default.
          **features: raw features of roles user and context, or of role item where the model
            takes items; lists for sequences, several categories and vectors.

        Returns:
          Items, best first; fewer than `k` where no other one passes.

        Raises:
          UserError: if a feature is unknown or has no such value, an item is not in the
            catalogue, `k` is out of range, or the bundle does not filter by what is wanted.
        """
        return self.answer(self.question(features, k, exclude, moment, wanted))

    def recommend_many(
        self,
        queries: Sequence[Mapping[str, Value]],
        k: int = 10,
        moment: datetime | None = None,
        wanted: Wanted | None = None,
    ) -> pd.DataFrame:
        """Recommends items to many shoppers, or what goes with many items, in one request.

        Args:
          queries: raw features of each, at least one; see `recommend`.
          k: how many items each.
          moment: when; see `recommend`.
          wanted: which items may be recommended, to all.

        Returns:
          A row for each item: `query`, its place in `queries`; `rank`, from 1; `id`, `name` and
          `score`. A query's rows are together, best first.

        Raises:
          UserError: as `recommend` does, or if there is no query.
        """
        if not len(queries):
            raise UserError("queries: there is none; give the features of at least one shopper")
        asked = [self.question(features, k, (), moment, wanted) for features in queries]
        together = {name: _stacked([question[name] for question in asked]) for name in asked[0]}
        answer = self._ask(together)
        ids = np.array([[_text(item) for item in row] for row in answer[IDS]], object)
        query, place = np.nonzero(ids != "")
        found = ids[query, place]
        return pd.DataFrame(
            {
                "query": query,
                "rank": place + 1,
                "id": found,
                "name": self._names(list(found)),
                "score": answer[SCORES][query, place],
            }
        )

    def explain(
        self, items: Sequence[str], moment: datetime | None = None, **features: Value
    ) -> list[Explanation]:
        """Says why items suit a shopper, or go with an item.

        Args:
          items: ids, such as those that `recommend` returned.
          moment: when; see `recommend`.
          **features: raw features; see `recommend`.

        Returns:
          One for each item, in their order.

        Raises:
          UserError: if a feature is unknown or has no such value, or the bundle explains nothing.
        """
        if not self._explained:
            raise UserError(
                "explain: the bundle has no such signature, for its model or its index is older; "
                "remove the artefacts of train and index and run again"
            )
        question = self._inputs(features, moment, self._explained)
        asked = np.asarray([list(items)], object).reshape(1, -1)
        answer = self._predict(EXPLAIN, {**question, ITEMS: asked})
        names = [_text(name) for name in answer[FEATURES][0]]
        history = [_text(item) for item in answer[HISTORY][0]]
        return [
            Explanation(
                item,
                name,
                float(answer[SCORES][0, place]),
                _text(answer[REASONS][0, place]),
                float(answer[BASELINES][0, place]),
                _summed(names, answer[OF_FEATURES][0, place]),
                _summed(history, answer[OF_HISTORY][0, place]),
                _text(answer[HISTORY_METHOD][0]),
                float(answer[REMAINDER][0, place]),
            )
            for place, (item, name) in enumerate(zip(items, self._names(items), strict=True))
        ]

    def question(
        self,
        features: Mapping[str, Value],
        k: int = 10,
        exclude: Sequence[str] = (),
        moment: datetime | None = None,
        wanted: Wanted | None = None,
    ) -> dict[str, np.ndarray]:
        """Fills a request in: the inputs of a signature for one query; see `recommend`."""
        if not 1 <= k <= len(self._catalogue):
            raise UserError(
                f"k: {k} is not between 1 and {len(self._catalogue)}; ask for at least one item "
                "and no more than the catalogue holds"
            )
        source = features.get(self._item_feature)
        if source is not None:
            exclude = [*exclude, str(source)]
        return {
            **self._inputs(features, moment, self._specs),
            K: np.asarray(k, np.int32),
            EXCLUDE: np.asarray([list(exclude)], object).reshape(1, -1),
            **(self._conditions(wanted) if wanted else {}),
        }

    def _inputs(
        self,
        features: Mapping[str, Value],
        moment: datetime | None,
        specs: Mapping[str, TensorSpec],
    ) -> dict[str, np.ndarray]:
        """The raw features that a signature takes, with what a question leaves out."""
        takes = {**self._specs, **specs}
        unknown = set(features) - set(takes)
        if unknown:
            raise UserError(
                f"{', '.join(sorted(unknown))}: no such feature; the model takes "
                f"{', '.join(sorted(takes))}"
            )
        source = features.get(self._item_feature)
        if source is None:
            user = str(features.get(self._user_feature, ""))
            known = {**calendar_features(moment), **self._profiles.find(user, moment)}
        else:
            known = self._item_features(str(source))
        known |= features
        return {name: query_input(name, known.get(name), spec) for name, spec in specs.items()}

    def _conditions(self, wanted: Wanted) -> dict[str, np.ndarray]:
        """What is wanted, as the signature takes it."""
        given: dict[str, Any] = {
            prefix + name: value
            for prefix, values in ((ONLY, wanted.only), (LEAST, wanted.least), (MOST, wanted.most))
            for name, value in values.items()
        }
        unknown = sorted(set(given) - set(self._filters))
        if unknown or not self._filters:
            known = ", ".join(sorted(self._filters)) or "nothing"
            raise UserError(
                f"{', '.join(unknown) or NEW_ITEMS}: the bundle filters by {known}; name features "
                "of the catalogue in serving.filters and export it again"
            )
        return {
            name: np.asarray(wanted.new_items, np.int32)
            if name == NEW_ITEMS
            else query_input(name, given.get(name), spec)
            for name, spec in self._filters.items()
        }

    def _item_features(self, item: str) -> dict[str, Any]:
        """An item's raw features from the catalogue."""
        row = self._catalogue.rows([item])[0]
        if row < 0:
            raise UserError(
                f"{self._item_feature}: {item!r} is not in the catalogue; name an item of it, or "
                "leave the id out and give the item's other features"
            )
        return self._catalogue.features(row)

    def answer(self, question: Mapping[str, np.ndarray]) -> list[Recommendation]:
        """Runs the model on a question and reads the items off its answer."""
        answer = self._ask(question)
        ids = [_text(item) for item in answer[IDS][0]]
        return [
            Recommendation(item, name, float(score))
            for item, name, score in zip(ids, self._names(ids), answer[SCORES][0], strict=True)
            if item
        ]

    def _ask(self, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        return self._predict(FILTERED if NEW_ITEMS in inputs else RECOMMEND, inputs)

    def names(self, ids: Sequence[str]) -> dict[str, str]:
        """Names of items for people: id -> name, empty for items that the catalogue lacks."""
        return dict(zip(ids, self._names(ids), strict=True))

    def _names(self, ids: Sequence[str]) -> np.ndarray:
        """Names for people, empty for items that the catalogue lacks."""
        rows = self._catalogue.rows(ids)
        return np.where(rows >= 0, self._catalogue.names[rows], "")

    def parse(self, values: Mapping[str, str]) -> dict[str, str | list[str]]:
        """Reads features written as text: the values of a list are joined by commas."""
        lists = {name for name, spec in self._specs.items() if len(spec.shape or ()) == 2}
        return {name: text.split(",") if name in lists else text for name, text in values.items()}


def _summed(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    """Adds the values of equal names up, and leaves out those without a name."""
    sums = dict.fromkeys(filter(None, names), 0.0)
    for name, value in zip(names, values, strict=True):
        if name:
            sums[name] += float(value)
    return sums


def _stacked(alone: Sequence[np.ndarray]) -> np.ndarray:
    """One input of several questions as that of one: lists of text are filled up, `k` is one."""
    first = alone[0]
    if first.ndim == 0:
        return first
    if first.ndim == 1 or first.dtype != object:
        return np.concatenate(alone)
    rows = np.full((len(alone), max(value.shape[1] for value in alone)), "", object)
    for row, value in zip(rows, alone, strict=True):
        row[: value.shape[1]] = value[0]
    return rows


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
