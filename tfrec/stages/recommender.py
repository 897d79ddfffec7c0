"""Asking a bundle what to recommend, in this process or over a server."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfrec.data.catalogue import Catalogue
from tfrec.data.prepared import PreparedData
from tfrec.data.profiles import Profiles, calendar_features
from tfrec.errors import UserError
from tfrec.serving.client import Client
from tfrec.serving.export import EXCLUDE, IDS, RECOMMEND, SCORES, K
from tfrec.serving.servable import Servable
from tfrec.stages.artifact import Artifact
from tfrec.stages.export import ServingBundle

Predict = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


class Recommendation(NamedTuple):
    """One recommended item: its id, its name for people, and its score."""

    id: str
    name: str
    score: float


class Recommender:
    """Recommends items to shoppers by the `recommend` signature of a bundle.

    What a question leaves out is filled in: the shopper's features from the prepared data, as
    they were after the last event, and the calendar's from the moment. A shopper never seen is
    asked for with what is known, and gets what suits most.

    Example:
      >>> recommender = tfrec.Recommender.load(experiment.bundle)
      >>> recommender.recommend(household_id="2375", k=10)
    """

    def __init__(self, predict: Predict, inputs: Mapping[str, int], prepared: Artifact) -> None:
        """Takes a way to run `recommend`, its raw features with their ranks, and prepared data."""
        self._predict = predict
        self._ranks = {name: rank for name, rank in inputs.items() if name not in (K, EXCLUDE)}
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

        ranks = {name: len(info.tensor_shape.dim) for name, info in signature.inputs.items()}
        return cls(predict, ranks, Artifact(bundle.prepared))

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
        ranks = {name: len(spec.shape or ()) for name, spec in signature.inputs.items()}
        return cls(
            lambda inputs: client.predict(model, inputs, signature=RECOMMEND), ranks, prepared
        )

    def recommend(
        self,
        k: int = 10,
        exclude: Sequence[str] = (),
        moment: datetime | None = None,
        **features: str | Sequence[str],
    ) -> list[Recommendation]:
        """Recommends items to one shopper.

        Args:
          k: how many items, at most as many as the catalogue holds.
          exclude: ids of items not to recommend.
          moment: when; now by default.
          **features: raw features of roles user and context, lists for sequences.

        Returns:
          Items, best first.

        Raises:
          UserError: if a feature is unknown or `k` is out of range.
        """
        return self.answer(self.question(features, k, exclude, moment))

    def question(
        self,
        features: Mapping[str, str | Sequence[str]],
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
        unknown = set(features) - set(self._ranks)
        if unknown:
            raise UserError(
                f"{', '.join(sorted(unknown))}: no such feature; the model takes "
                f"{', '.join(sorted(self._ranks))}"
            )
        known: dict[str, str | Sequence[str]] = {}
        known |= calendar_features(moment or datetime.now())
        user = features.get(self._user_feature)
        if isinstance(user, str):
            known |= self._profiles.find(user)
        known |= dict(features)
        inputs = {name: _tensor(known.get(name), rank) for name, rank in self._ranks.items()}
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
        """Reads features written as text: values of a sequence are joined by commas."""
        return {
            name: text.split(",") if self._ranks.get(name) == 2 else text
            for name, text in values.items()
        }


def _tensor(value: str | Sequence[str] | None, rank: int) -> np.ndarray:
    """One shopper's value as a batch of one: `[1]`, or `[1, values]` for a sequence."""
    if rank == 1:
        return np.asarray([value or ""], object)
    values = [value] if isinstance(value, str) else list(value or [""])
    return np.asarray([values], object)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
