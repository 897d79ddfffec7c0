"""A blessed bundle -> a model root that servers watch."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, PushedModel

from tfrec.pipelines.artifacts import Evaluation
from tfrec.pipelines.blessings import refuse_unblessed
from tfrec.pipelines.parameters import section
from tfrec.pipelines.reporting import reporter
from tfrec.serving.config import ServingConfig
from tfrec.stages.evaluate import EvaluationArtifact
from tfrec.stages.export import ServingBundle
from tfrec.stages.push import push


@component
def Pusher(
    config: Parameter[str],
    bundle: InputArtifact[Model],
    evaluation: InputArtifact[Evaluation],
    blessing: InputArtifact[ModelBlessing],
    pushed_model: OutputArtifact[PushedModel],
    metrics_blessing: InputArtifact[ModelBlessing] = None,
    infra_blessing: InputArtifact[InfraBlessing] = None,
) -> None:
    """Copies the bundle to the model root.

    Args:
      config: the section `serving`.
      bundle: what to push.
      evaluation: its measurements, which go with it.
      blessing: of ModelEvaluator.
      pushed_model: says where the version is.
      metrics_blessing: of Evaluator.
      infra_blessing: of BundleValidator.
    """
    blessings = {
        "ModelEvaluator": blessing,
        "Evaluator": metrics_blessing,
        "BundleValidator": infra_blessing,
    }
    refuse_unblessed({name: one for name, one in blessings.items() if one is not None})
    root = section(config, "serving", ServingConfig).root
    figures = EvaluationArtifact(Path(evaluation.uri)).figures
    version = push(ServingBundle(Path(bundle.uri)), root, reporter(), figures)
    pushed_model.set_string_custom_property("pushed_destination", str(version.resolve()))
    pushed_model.set_string_custom_property("pushed_version", version.name)
