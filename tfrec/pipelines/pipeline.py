"""The components of a config's pipeline, in their order, which nothing else knows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.transform.component import Transform
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.transform_pb2 import SplitsConfig
from tfx.types.channel import BaseChannel

from tfrec.data.engine import BeamConfig, beam_flags
from tfrec.data.prepared import TEST, TRAIN
from tfrec.data.preprocessing import preprocessing_digest
from tfrec.errors import UserError
from tfrec.evaluation.config import Protocol
from tfrec.models.template import load_template, source_digest
from tfrec.pipelines.components.bundle_exporter import BundleExporter
from tfrec.pipelines.components.bundle_validator import BundleValidator
from tfrec.pipelines.components.evaluator import Evaluator, last_blessed
from tfrec.pipelines.components.events_example_gen import EventsExampleGen
from tfrec.pipelines.components.example_validator import ExampleValidator
from tfrec.pipelines.components.example_writer import ExampleWriter
from tfrec.pipelines.components.item_indexer import ItemIndexer
from tfrec.pipelines.components.model_evaluator import ModelEvaluator
from tfrec.pipelines.components.pusher import Pusher
from tfrec.pipelines.components.query_writer import QueryWriter
from tfrec.pipelines.components.schema_gen import SchemaGen
from tfrec.pipelines.components.trainer import Trainer
from tfrec.pipelines.components.tuner import Tuner
from tfrec.pipelines.evaluator import eval_config
from tfrec.pipelines.parameters import to_parameter
from tfrec.pipelines.validation import statistics_options
from tfrec.pipelines.workers import IMAGE, with_workers
from tfrec.stages.artifact import Artifact, package_versions
from tfrec.stages.clean import find_sources
from tfrec.stages.experiment import ExperimentConfig
from tfrec.stages.going_on import newest_learned

_PREPROCESSING = "tfrec.pipelines.preprocessing.preprocessing_fn"
_LAST_STATISTICS = "training_statistics.pb"
_MODELS_OWN = {"embedding": 1, "unknown_share": 0}


def build(config: ExperimentConfig, local: bool = True) -> Pipeline:
    """Makes the pipeline of an experiment.

    Args:
      config: the experiment.
      local: whether this machine runs it. Then files are looked at, so that a changed one is not
        taken from the cache, and ML Metadata is asked for the model that was blessed last.

    Returns:
      The pipeline, named as the experiment; nothing is run.

    Raises:
      UserError: if a source or the template is missing, a model is to learn on that cannot,
        or nobody knows what the workers of a Beam runner run in.
    """
    if config.pipeline.warm_start:
        _check_warm_start(config)
    root = config.pipeline.root_of(config.name)
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(Path(root).resolve()) if local else root,
        components=_Components(_with_workers(config), local).all(),
        enable_cache=config.pipeline.cache,
        metadata_connection_config=_metadata(config) if local else None,
    )


def _check_warm_start(config: ExperimentConfig) -> None:
    problems = {
        "data.split: only time has new days to learn on": config.data.split.kind != "time",
        "tuning: tries models that learn anew; leave it out": config.tuning is not None,
        "training.warm_start: names another model; leave it out": config.training.warm_start,
    }
    for problem, found in problems.items():
        if found:
            raise UserError(f"pipeline.warm_start: does not go with {problem}")


class _Components:
    """The components, as each method adds its own behind those before it."""

    def __init__(self, config: ExperimentConfig, local: bool) -> None:
        self._config, self._local = config, local
        self._made_of = _as_text(_made_of(config)) if local else ""
        self._in_order: list[BaseNode] = []

    def all(self) -> list[BaseNode]:
        """All components, in their order."""
        examples, cleaned, schema = self._examples()
        valid = self._validated(examples)
        prepared = self._prepared(examples, cleaned, schema, valid)
        model = self._model(prepared)
        item_index = self._item_index(prepared, model)
        measured = self._evaluation(prepared, model, item_index)
        bundle = self._bundle(prepared, model, item_index)
        self._add(
            Pusher(
                config=to_parameter(self._config, "serving"),
                bundle=bundle,
                evaluation=measured["evaluation"],
                blessing=measured["blessing"],
                metrics_blessing=self._analysis(prepared, bundle),
                infra_blessing=self._add(BundleValidator(bundle=bundle))["blessing"],
            )
        )
        return self._in_order

    def _examples(self) -> tuple[BaseChannel, BaseChannel, BaseChannel]:
        """Raw Examples, the cleaned events that they are of, and their schema."""
        data = self._config.data
        sources: Mapping[str, Any] = {}
        if self._local:
            files = find_sources(data).fingerprints()
            sources = {"files": files, "versions": package_versions()}
        made = self._add(
            EventsExampleGen(
                config=to_parameter(self._config, "data", features=self._features),
                sources=_as_text(sources),
            )
        )
        return made["examples"], made["cleaned"], made["schema"]

    def _validated(self, examples: BaseChannel) -> BaseNode:
        """The component behind which Examples are known to be good."""
        limits = self._config.pipeline.validation.model_dump(mode="json")
        limited = self._add(
            SchemaGen(config=to_parameter(self._config, features=self._features, validation=limits))
        )
        statistics = self._add(StatisticsGen(examples, stats_options=statistics_options()))
        validator = ExampleValidator(
            statistics=statistics["statistics"],
            schema=limited["schema"],
            last_run=self._last_statistics(),
        )
        self._add(validator)
        return validator

    def _last_statistics(self) -> str:
        """The file in which a run finds what the last one passed with; nothing if it cannot."""
        config, kubeflow = self._config, self._config.pipeline.kubeflow
        if self._local:
            return str(Path(config.pipeline.root_of(config.name)).resolve() / _LAST_STATISTICS)
        if kubeflow and kubeflow.volume and kubeflow.volume.artifacts:
            return f"{kubeflow.volume.path}/{config.name}/{_LAST_STATISTICS}"
        return ""

    def _prepared(
        self, examples: BaseChannel, cleaned: BaseChannel, schema: BaseChannel, valid: BaseNode
    ) -> BaseChannel:
        data = self._config.data
        transform = Transform(
            examples=examples,
            schema=schema,
            preprocessing_fn=_PREPROCESSING,
            splits_config=SplitsConfig(analyze=[TRAIN]),
            materialize=False,
            disable_analyzer_cache=True,
            disable_statistics=True,
            custom_config={
                "features": self._features,
                "preprocessing": data.preprocessing,
                "sources": preprocessing_digest(data.preprocessing) if self._local else {},
            },
        )
        transform.add_upstream_node(valid)
        return self._add(
            ExampleWriter(
                config=to_parameter(
                    self._config, "data", features=self._features, goes_on=self._goes_on()
                ),
                cleaned=cleaned,
                transform_graph=self._add(transform)["transform_graph"],
            )
        )["prepared"]

    def _goes_on(self) -> Mapping[str, str]:
        """Where the model is served that learns on; nothing where each run learns anew."""
        config = self._config
        if not config.pipeline.warm_start:
            return {}
        served = config.serving.root / config.serving.name
        learned = newest_learned(served) if self._local else None
        return {"served": str(served), "learned": str(learned)}

    def _model(self, prepared: BaseChannel) -> BaseChannel:
        best: Mapping[str, BaseChannel] = {}
        if self._config.tuning:
            everything = set(ExperimentConfig.model_fields) - {"pipeline"}
            tuner = Tuner(
                config=to_parameter(self._config, *everything),
                sources=self._made_of,
                prepared=prepared,
            )
            best = {"best": self._add(tuner)["best"]}
        where = self._config.pipeline.model_dump(mode="json", include={"training_on", "tfjob"})
        return self._add(
            Trainer(
                config=to_parameter(self._config, "training", "model", "features"),
                submitter=to_parameter(self._config, "name", pipeline=where),
                sources=self._made_of,
                prepared=prepared,
                **best,
            )
        )["model"]

    def _item_index(self, prepared: BaseChannel, model: BaseChannel) -> BaseChannel:
        indexer = ItemIndexer(
            config=to_parameter(self._config, "index"), prepared=prepared, model=model
        )
        return self._add(indexer)["item_index"]

    def _evaluation(
        self, prepared: BaseChannel, model: BaseChannel, item_index: BaseChannel
    ) -> Mapping[str, BaseChannel]:
        serving = self._config.serving
        return self._add(
            ModelEvaluator(
                config=to_parameter(
                    self._config, "evaluation", served=str(serving.root / serving.name)
                ),
                prepared=prepared,
                model=model,
                item_index=item_index,
            )
        )

    def _bundle(
        self, prepared: BaseChannel, model: BaseChannel, item_index: BaseChannel
    ) -> BaseChannel:
        return self._add(
            BundleExporter(
                config=to_parameter(self._config, "serving", "reranking", protocol=self._protocol),
                sources=self._made_of,
                prepared=prepared,
                model=model,
                item_index=item_index,
            )
        )["bundle"]

    def _analysis(self, prepared: BaseChannel, bundle: BaseChannel) -> BaseChannel:
        """TensorFlow Model Analysis' blessing of a bundle, beside the one blessed last."""
        config = self._config
        template, _ = load_template(config.model)
        asked = self._add(
            QueryWriter(
                config=to_parameter(config, protocol=self._protocol, of=template.queries),
                prepared=prepared,
            )
        )
        baseline = self._add(last_blessed(bundle))["model"] if self._local else None
        return self._add(
            Evaluator(
                examples=asked["queries"],
                model=bundle,
                baseline_model=baseline,
                example_splits=[TEST],
                eval_config=eval_config(config.evaluation, config.serving.k),
                schema=asked["schema"],
            )
        )["blessing"]

    @property
    def _features(self) -> Mapping[str, Any]:
        """The features as preparation sees them: what only a model asks is the same of all."""
        return {
            name: feature
            | {key: value for key, value in _MODELS_OWN.items() if feature.get(key) is not None}
            for name, feature in self._config.features.model_dump(mode="json").items()
        }

    @property
    def _protocol(self) -> Mapping[str, Any]:
        """How rankers are measured, whatever they must reach."""
        return self._config.evaluation.model_dump(mode="json", include=set(Protocol.model_fields))

    def _add(self, node: BaseNode) -> Mapping[str, BaseChannel]:
        """Takes a component in, with its own Beam runner where the config has one for it."""
        engine = self._config.pipeline.beam.get(node.id)
        if engine is not None:
            node.with_beam_pipeline_args(_beam_flags(node.id, engine, self._config))
        self._in_order.append(node)
        return node.outputs


def _with_workers(config: ExperimentConfig) -> ExperimentConfig:
    """Names the image of the workers that run our own components' Beam pipelines."""
    engine = with_workers(config.data.beam, "data.beam", _image(config))
    return config.model_copy(update={"data": config.data.model_copy(update={"beam": engine})})


def _beam_flags(component: str, engine: BeamConfig, config: ExperimentConfig) -> list[str]:
    """Beam's flags of one of TFX's components."""
    ready = with_workers(engine, f"pipeline.beam.{component}", _image(config))
    # Without an image TFX would pack itself into an archive for each component's workers.
    return beam_flags(ready) + ([] if IMAGE in ready.options else [f"--{IMAGE}=none"])


def _image(config: ExperimentConfig) -> str | None:
    return config.pipeline.kubeflow.image if config.pipeline.kubeflow else None


def _made_of(config: ExperimentConfig) -> Mapping[str, str]:
    """Digests or ids of what is not in the config, but named there."""
    template, _ = load_template(config.model)
    made_of = {"template": source_digest(template)}
    named = {
        "warm_start": config.training.warm_start,
        "teacher": config.training.teacher and config.training.teacher.model,
        "ranker": config.serving.ranker and config.serving.ranker.model,
    }
    return made_of | {name: Artifact(path).manifest.id for name, path in named.items() if path}


def _metadata(config: ExperimentConfig) -> Any:
    file = config.pipeline.metadata_file
    file.parent.mkdir(parents=True, exist_ok=True)
    return sqlite_metadata_connection_config(str(file.resolve()))


def _as_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)
