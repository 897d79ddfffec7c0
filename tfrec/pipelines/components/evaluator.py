"""TensorFlow Model Analysis of a bundle, beside the one that was blessed last."""

from pathlib import Path
from typing import Any

from ml_metadata import MetadataStore
from tfx.components.evaluator import component, executor
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import (
    LatestBlessedModelStrategy,
)
from tfx.types import Artifact, Channel
from tfx.types.channel import BaseChannel
from tfx.types.standard_artifacts import Model, ModelBlessing
from tfx.types.standard_component_specs import (
    BASELINE_MODEL_KEY,
    BLESSING_KEY,
    EVALUATION_KEY,
    MODEL_KEY,
)

from tfrec.pipelines.blessings import bless
from tfrec.pipelines.evaluator import broken_thresholds


class EvaluatorExecutor(executor.Executor):
    """TFX's own, which says why it does not bless, and compares no bundle with itself."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Analyses the bundle; see TFX's executor."""
        (candidate,) = input_dict[MODEL_KEY]
        others = [one for one in input_dict.get(BASELINE_MODEL_KEY, []) if one.id != candidate.id]
        super().Do({**input_dict, BASELINE_MODEL_KEY: others}, output_dict, exec_properties)
        broken = broken_thresholds(Path(output_dict[EVALUATION_KEY][0].uri))
        because = "; ".join(broken) or "all thresholds are reached"
        bless(output_dict[BLESSING_KEY][0], not broken, because)


class Evaluator(component.Evaluator):
    """TFX's Evaluator; `tfrec.pipelines.evaluator` says what to give it."""

    EXECUTOR_SPEC = BeamExecutorSpec(EvaluatorExecutor)


def last_blessed(candidate: BaseChannel) -> Resolver:
    """Finds the bundle that an Evaluator of this pipeline blessed last, if any: `model`.

    Args:
      candidate: what it is compared with, which is passed over. So a run that takes its bundle from
        the cache, blessed by now, compares with the same one as the run that made it.
    """
    return Resolver(
        strategy_class=LastOtherBlessed,
        model=Channel(type=Model),
        model_blessing=Channel(type=ModelBlessing),
        candidate=candidate,
    ).with_id("LastBlessed")


class LastOtherBlessed(LatestBlessedModelStrategy):
    """TFX's choice among all bundles but the candidate."""

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[Artifact]]
    ) -> dict[str, list[Artifact]]:
        """Chooses; see TFX's strategy."""
        (candidate,) = input_dict.pop("candidate")
        others = [one for one in input_dict["model"] if one.id != candidate.id]
        chosen = super().resolve_artifacts(store, {**input_dict, "model": others})
        return {**chosen, "candidate": [candidate]}
