"""The `evaluation` section of a config."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tfrec.config import Section
from tfrec.evaluation.blessing import ALL, LAST, Rule
from tfrec.evaluation.measures import LIST_MEASURES, MEASURES, POINTWISE, SAMPLED, Measure
from tfrec.models.baselines import BASELINES

Cutoff = Annotated[int, Field(gt=0)]
NEW = "new_to_shopper"
_RANKINGS = {"keep": (ALL,), "exclude": (NEW,), "both": (ALL, NEW)}


class Candidates(Section):
    """What is ranked for a shopper; a config may write `full` for the whole catalogue.

    Attributes:
      sampled: number of items to draw for each shopper, which are ranked together with the
        relevant ones; none for the whole catalogue. Its figures are no estimates of those of full
        ranking and may order models otherwise (Krichene and Rendle, On Sampled Metrics for Item
        Recommendation, KDD 2020), so they are called `sampled_...`.
      by: whether all items are drawn alike, or by their training events.
      seed: of the draw.
    """

    sampled: Annotated[int, Field(gt=0)] | None = None
    by: Literal["uniform", "popularity"] = "uniform"
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, content: Any) -> Any:
        if isinstance(content, str) and content != "full":
            raise ValueError("not known; write full, or {sampled: 100, by: uniform, seed: 0}")
        return {} if content == "full" else content

    def __str__(self) -> str:
        """What is ranked, for the title of a table."""
        if self.sampled is None:
            return "full catalogue"
        return f"sampled: {self.sampled:,} items, {self.by}, seed {self.seed}"


class SliceConfig(Section):
    """Some of the shoppers, or of the items; a config may write a feature's name alone.

    Attributes:
      feature: a raw feature of queries; there is a slice for each of its values.
      quantiles: number of slices of about equal size instead, for a numeric feature.
      cold_items: only relevant items with fewer training events than this count as relevant.
      cold_users: shoppers with fewer events before the query than this.
    """

    feature: str | None = None
    quantiles: Annotated[int, Field(gt=1)] | None = None
    cold_items: Annotated[int, Field(gt=0)] | None = None
    cold_users: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_name(cls, content: Any) -> Any:
        return {"feature": content} if isinstance(content, str) else content

    @model_validator(mode="after")
    def _is_one(self) -> "SliceConfig":
        if sum(part is not None for part in (self.feature, self.cold_items, self.cold_users)) != 1:
            raise ValueError("give one of feature, cold_items and cold_users")
        if self.quantiles and self.feature is None:
            raise ValueError("quantiles are of a feature; name it")
        return self

    def __str__(self) -> str:
        """What it cuts by; the names of its slices begin with it."""
        if self.cold_items is not None:
            return f"cold_items<{self.cold_items}"
        if self.cold_users is not None:
            return f"cold_users<{self.cold_users}"
        return f"{self.feature} in" if self.quantiles else f"{self.feature}="


class Protocol(Section):
    """How rankers are measured.

    Attributes:
      k: lengths of recommendation lists to measure.
      candidates: what is ranked.
      seen: whether what a shopper had before is left out of the ranking and of what is relevant
        (`exclude`, the slice `new_to_shopper`), stays (`keep`, the slice `all`), or both ways.
      metrics: names such as `recall@10`. One without a cut-off is measured at each of `k`; `mrr`
        within the longest.
      slices: parts to measure on their own.
      min_users: a slice of fewer shoppers is shown as too small.
      categories: item feature whose values tell items apart for `intra_list_diversity`; without
        it, the model's item vectors do.
      resamples: number of draws for intervals and tests.
      seed: of these draws and of the order of items with the same score.
    """

    k: Annotated[tuple[Cutoff, ...], Field(min_length=1)] = (10, 100)
    candidates: Candidates = Candidates()
    seen: Literal["exclude", "keep", "both"] = "both"
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("recall", "ndcg", "mrr")
    slices: tuple[SliceConfig, ...] = ()
    min_users: Annotated[int, Field(gt=0)] = 20
    categories: str | None = None
    resamples: Annotated[int, Field(ge=100)] = 1000
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("metrics")
    @classmethod
    def _can_be_given(cls, metrics: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        candidates = info.data.get("candidates", Candidates())
        for name in metrics:
            _check_metric(name, candidates)
        return metrics

    @model_validator(mode="after")
    def _cutoffs_fit(self) -> "Protocol":
        drawn, longest = self.candidates.sampled, self.longest
        if drawn is not None and drawn < longest:
            raise ValueError(
                f"a list of {longest} is longer than candidates.sampled, {drawn}; lower k, or "
                "sample more"
            )
        return self

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The metrics, each with its cut-off."""
        whole = [name for name in self.metrics if "@" not in name and name != "mrr"]
        measures = [Measure(name, k) for k in self.k for name in whole]
        for name in self.metrics:
            if name not in whole:
                kind, _, cutoff = name.partition("@")
                measures.append(Measure(kind, int(cutoff or max(self.k)), bool(cutoff)))
        return tuple(dict.fromkeys(measures))

    @property
    def longest(self) -> int:
        """The longest list that is measured."""
        return max(measure.k for measure in self.measures)

    @property
    def rankings(self) -> tuple[str, ...]:
        """Names of the slices of all shoppers: `all`, `new_to_shopper` or both."""
        return _RANKINGS[self.seen]

    def title(self, measure: Measure) -> str:
        """What a metric is called; a sampled one says so wherever it is shown."""
        return f"{SAMPLED}{measure}" if self.candidates.sampled else str(measure)


def _with_settings(value: object) -> object:
    return {name: {} for name in value} if isinstance(value, list | tuple) else value


class EvaluationConfig(Protocol):
    """The `evaluation` section: a protocol, and what is measured beside the model.

    Attributes:
      baselines: models in closed form to show beside the model: their names, or the settings of
        each by its name, e.g. `{popularity: {}, ease: {l2: 300}}`.
      bless: rules that must hold before the model is pushed; by default none.
    """

    baselines: Annotated[
        Mapping[Literal["popularity", "own_history", "item_knn", "ease", "ials"], dict[str, Any]],
        BeforeValidator(_with_settings),
    ] = {"popularity": {}, "own_history": {}}
    bless: tuple[Rule, ...] = ()

    @field_validator("baselines")
    @classmethod
    def _settings_fit(cls, baselines: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, settings in baselines.items():
            try:
                BASELINES[name].Settings.model_validate(settings)
            except ValidationError as error:
                wrong = error.errors()[0]
                raise ValueError(
                    f"{name}.{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
                ) from None
        return baselines

    @model_validator(mode="after")
    def _rules_have_figures(self) -> "EvaluationConfig":
        titles = [self.title(measure) for measure in self.measures]
        for number, rule in enumerate(self.bless):
            if not rule.of_predictions and rule.metric not in titles:
                raise ValueError(
                    f"bless.{number}: {rule.metric} is not measured; measured: "
                    f"{', '.join(titles)}, and by models that predict labels {', '.join(POINTWISE)}"
                )
            if isinstance(rule.over, str) and rule.over not in (*self.baselines, LAST):
                raise ValueError(
                    f"bless.{number}: over {rule.over} is not measured; add it to baselines, or "
                    "write last or a number"
                )
        return self


def _check_metric(name: str, candidates: Candidates) -> None:
    kind, at, cutoff = name.partition("@")
    if kind in POINTWISE:
        raise ValueError(f"{name} needs labelled examples, and this protocol ranks items")
    if kind not in MEASURES:
        raise ValueError(f"{name} is not known; known: {', '.join(MEASURES)}")
    if at and not (cutoff.isdecimal() and int(cutoff) > 0):
        raise ValueError(f"{name}: write a whole number after the @, e.g. {kind}@10")
    if candidates.sampled is not None and kind in LIST_MEASURES:
        raise ValueError(f"{name} is of the whole catalogue's lists; set candidates: full")
