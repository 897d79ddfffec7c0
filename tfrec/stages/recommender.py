"""Asking a bundle what to recommend, in this process or over a server."""

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorflow.core.framework import types_pb2

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import Profiles, calendar_features
from tfrec.errors import UserError
from tfrec.serving.client import Client
from tfrec.serving.export import EXCLUDE, IDS, RECOMMEND, SCORES, K
from tfrec.serving.servable import Servable
from tfrec.serving.signature import TensorSpec, dtype_name
from tfrec.stages.artifact import Artifact
from tfrec.stages.export import ServingBundle

Predict = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]

Value = str | float | Sequence[str] | Sequence[float]
"""A raw feature of one shopper: a category, text or number, or a list of either."""


class Recommendation(NamedTuple):
    """One recommended item: its id, its name for people, and its score."""

    id: str
    name: str
    score: float


class Recommender:
    """Recommends items to shoppers by the `recommend` signature of a bundle.

    What a question leaves out is filled in: the shopper's features from the prepared data, as
    they were after the last event, and the calendar's and the days since that event from the
    moment. A shopper never seen is asked for with what is known, and gets what suits most.

    Example:
      >>> recommender = tfrec.Recommender.load(experiment.bundle)
      >>> recommender.recommend(household_id="2375", k=10)
    """

    def __init__(
        self, predict: Predict, inputs: Mapping[str, TensorSpec], prepared: Artifact
    ) -> None:
        """Takes a way to run `recommend`, what it takes, and prepared data."""
        self._predict = predict
        self._specs = {name: spec for name, spec in inputs.items() if name not in (K, EXCLUDE)}
        self._user_feature = prepared.manifest.summary["user"]
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
        signature = servable.signatures[RECOMMEND]

        def predict(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            encoded = {
                name: np.char.encode(value.astype(str), "utf-8").astype(object)
                if value.dtype == object
                else value
                for name, value in inputs.items()
            }
            return servable.run(signature, encoded, [IDS, SCORES])

        specs = {
            name: TensorSpec(
                dtype_name(types_pb2.DataType.Name(info.dtype)),
                tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim),
            )
            for name, info in signature.inputs.items()
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
        signature = client.metadata(model)[RECOMMEND]
        return cls(
            lambda inputs: client.predict(model, inputs, signature=RECOMMEND),
            signature.inputs,
            prepared,
        )

    def recommend(
        self,
        k: int = 10,
        exclude: Sequence[str] = (),
        moment: datetime | None = None,
        **features: Value,
    ) -> list[Recommendation]:
        """Recommends items to one shopper.

        Args:
          k: how many items, at most as many as the catalogue holds.
          exclude: ids of items not to recommend.
          moment: when, in UTC where it names no zone; now by default.
          **features: raw features of roles user and context; lists for sequences, several
            categories and vectors.

        Returns:
          Items, best first.

        Raises:
          UserError: if a feature is unknown or has no such value, or `k` is out of range.
        """
        return self.answer(self.question(features, k, exclude, moment))

    def question(
        self,
        features: Mapping[str, Value],
        k: int = 10,
        exclude: Sequence[str] = (),
        moment: datetime | None = None,
    ) -> dict[str, np.ndarray]:
        """Fills a request in: the inputs of `recommend` for one shopper; see there."""
        if not 1 <= k <= len(self._catalogue):
            raise UserError(
                f"k: {k} is not between 1 and {len(self._catalogue)}; ask for at least one item "
                "and no more than the catalogue holds"
            )
        unknown = set(features) - set(self._specs)
        if unknown:
            raise UserError(
                f"{', '.join(sorted(unknown))}: no such feature; the model takes "
                f"{', '.join(sorted(self._specs))}"
            )
        user = str(features.get(self._user_feature, ""))
        known = {**calendar_features(moment), **self._profiles.find(user, moment), **features}
        inputs = {name: _tensor(name, known.get(name), spec) for name, spec in self._specs.items()}
        return {
            **inputs,
            K: np.asarray(k, np.int32),
            EXCLUDE: np.asarray([list(exclude)], object).reshape(1, -1),
        }

    def answer(self, question: Mapping[str, np.ndarray]) -> list[Recommendation]:
        """Runs the model on a question and reads the items off its answer."""
        answer = self._predict(question)
        ids = [_text(item) for item in answer[IDS][0]]
        rows = self._catalogue.rows(ids)
        names = np.where(rows >= 0, self._catalogue.names[rows], "")
        return [
            Recommendation(item, name, float(score))
            for item, name, score in zip(ids, names, answer[SCORES][0], strict=True)
            if item
        ]

    def parse(self, values: Mapping[str, str]) -> dict[str, str | list[str]]:
        """Reads features written as text: the values of a list are joined by commas."""
        lists = {name for name, spec in self._specs.items() if len(spec.shape or ()) == 2}
        return {name: text.split(",") if name in lists else text for name, text in values.items()}


def _tensor(name: str, value: Any, spec: TensorSpec) -> np.ndarray:
    """One shopper's value as a batch of one: `[1]`, or `[1, values]` for a list."""
    shape = (1, *(size or 0 for size in (spec.shape or ())[1:]))
    if spec.dtype == "string":
        return _strings(name, value, several=len(shape) == 2)
    if value is None:
        return np.full(shape, np.nan if len(shape) == 1 else 0, spec.dtype)
    return _numbers(name, value, shape).astype(spec.dtype)


def _strings(name: str, value: Any, several: bool) -> np.ndarray:
    is_list = several and isinstance(value, Iterable) and not isinstance(value, str)
    values = ["" if item is None else item for item in (value if is_list else [value])]
    for item in values:
        if not isinstance(item, str):
            raise UserError(f"{name}: {reprlib.repr(item)} is no text; give it in quotes")
    return np.asarray([values or [""]] if several else values, object)


def _numbers(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        numbers = np.asarray([value], np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape == shape and (len(shape) == 1 or np.isfinite(numbers).all()):
        return numbers
    given = f"{name}: {reprlib.repr(value)}"
    if len(shape) == 1:
        raise UserError(f"{given} is no number; give one, e.g. 3.5")
    raise UserError(f"{given} is no vector of {shape[1]} numbers; give as many")


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
