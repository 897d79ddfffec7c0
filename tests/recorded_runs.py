"""Runs of a pipeline in ML Metadata, written as TFX writes them, without running anything."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

FIRST, SECOND, THIRD = (f"2026-11-22T0{hour}:00:00+00:00" for hour in (1, 2, 3))
State = mlmd.Execution.State


class Part(NamedTuple):
    """A component's part in a run; an output is its key, type and custom properties."""

    component: str
    inputs: Sequence[str] = ()
    outputs: Sequence[tuple[str, str, Mapping[str, Any]]] = ()
    state: int = State.COMPLETE
    properties: Mapping[str, str] = {}


class RecordedRuns:
    """Writes runs of pipelines; artefacts are named `Component.key` and lie below the folder."""

    def __init__(self, folder: Path) -> None:
        self.file, self._folder = folder / "metadata.sqlite", folder
        config = mlmd.ConnectionConfig()
        config.sqlite.filename_uri = str(self.file)
        self._store = metadata_store.MetadataStore(config)
        self._made: dict[str, int] = {}

    def add(self, pipeline: str, run: str, parts: Sequence[Part]) -> None:
        """Adds a run; what an earlier one made is made again unless its component is cached."""
        for part in parts:
            contexts = [
                self._context("pipeline", pipeline),
                self._context("pipeline_run", run),
                self._context("node", f"{pipeline}.{part.component}"),
            ]
            kind = self._store.put_execution_type(mlmd.ExecutionType(name=part.component))
            execution = mlmd.Execution(type_id=kind, last_known_state=part.state)
            for name, value in part.properties.items():
                execution.custom_properties[name].string_value = value
            events = [self._event(name, mlmd.Event.INPUT) for name in part.inputs]
            events += [self._output(pipeline, run, part, *output) for output in part.outputs]
            self._store.put_execution(execution, events, contexts)
            for artifact, event in events:
                if artifact.id == 0:
                    (found,) = self._store.get_artifacts_by_uri(artifact.uri)
                    self._made[f"{part.component}.{event.path.steps[0].key}"] = found.id

    def path(self, pipeline: str, run: str, name: str) -> Path:
        """Where an artefact lies."""
        return self._folder / pipeline / name.replace(".", "/") / run[11:13]

    def _context(self, kind: str, name: str) -> mlmd.Context:
        number = self._store.put_context_type(mlmd.ContextType(name=kind))
        there = self._store.get_context_by_type_and_name(kind, name)
        return there or mlmd.Context(type_id=number, name=name)

    def _event(self, name: str, kind: int) -> tuple[mlmd.Artifact, mlmd.Event]:
        (artifact,) = self._store.get_artifacts_by_id([self._made[name]])
        return artifact, _event(name.partition(".")[2], kind)

    def _output(
        self, pipeline: str, run: str, part: Part, key: str, kind: str, told: Mapping[str, Any]
    ) -> tuple[mlmd.Artifact, mlmd.Event]:
        name = f"{part.component}.{key}"
        if part.state == State.CACHED:
            return self._event(name, mlmd.Event.OUTPUT)
        number = self._store.put_artifact_type(mlmd.ArtifactType(name=kind))
        artifact = mlmd.Artifact(type_id=number, uri=str(self.path(pipeline, run, name)))
        for property_name, value in told.items():
            field = "int_value" if isinstance(value, int) else "string_value"
            setattr(artifact.custom_properties[property_name], field, value)
        return artifact, _event(key, mlmd.Event.OUTPUT)


def _event(key: str, kind: int) -> mlmd.Event:
    event = mlmd.Event(type=kind)
    event.path.steps.add(key=key)
    event.path.steps.add(index=0)
    return event


def shop_run(version: str, cached: bool = False, goes_on: str = "") -> list[Part]:
    """A whole run; only the model is trained anew if all that it can is `cached`.

    `goes_on` is where the model is that it learns on from, if it does.
    """
    files = {"events": "e" * 64, "items": "f" * 64}
    sources = {"files": files, "versions": {"tfrec": "1.0", "apache-beam": "2.59.0"}}
    config = {
        "data": {
            "events": [{"source": ["days/*.parquet", "more.csv"]}],
            "items": {"source": "items.parquet"},
            "split": {"kind": "time"},
        }
    }
    told = {"sources": json.dumps(sources), "config": json.dumps(config)}
    sequel = {"goes_on": goes_on} if goes_on else {}
    state = State.CACHED if cached else State.COMPLETE
    blessed = {"blessed": 1, "because": "all 2 rules hold"}
    pushed = {"pushed_version": version, "pushed_destination": f"/serving/shop/{version}"}
    outputs = [("cleaned", "tfrec.CleanedEvents", {}), ("examples", "Examples", {})]
    return [
        Part("EventsExampleGen", (), outputs, state, told),
        Part("Transform", ["EventsExampleGen.examples"], [("graph", "TransformGraph", {})], state),
        Part(
            "ExampleWriter", ["EventsExampleGen.cleaned", "Transform.graph"],
            [("prepared", "tfrec.PreparedData", sequel)], state,
        ),
        Part("Trainer", ["ExampleWriter.prepared"], [("model", "Model", {})]),
        Part(
            "ModelEvaluator", ["ExampleWriter.prepared", "Trainer.model"],
            [("blessing", "ModelBlessing", blessed), ("evaluation", "tfrec.Evaluation", {})],
        ),
        Part(
            "BundleExporter", ["ExampleWriter.prepared", "Trainer.model"],
            [("bundle", "Model", {})],
        ),
        Part(
            "Pusher",
            ["BundleExporter.bundle", "ModelEvaluator.blessing", "ModelEvaluator.evaluation"],
            [("pushed_model", "PushedModel", pushed)],
        ),
    ]  # fmt: skip
