"""What ML Metadata knows of a pipeline's runs: components, artefacts, and what was made of what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

from tfrec.errors import UserError

CACHED, COMPLETE, FAILED, RUNNING = "cached", "complete", "failed", "running"
_State = metadata_store_pb2.Execution.State
_STATES = {
    _State.CACHED: CACHED, _State.COMPLETE: COMPLETE, _State.FAILED: FAILED,
    _State.CANCELED: FAILED, _State.NEW: RUNNING, _State.RUNNING: RUNNING,
}  # fmt: skip
_Event = metadata_store_pb2.Event
_INPUTS = (_Event.INPUT, _Event.DECLARED_INPUT, _Event.INTERNAL_INPUT)
_OUTPUTS = (_Event.OUTPUT, _Event.DECLARED_OUTPUT)


@dataclass(frozen=True)
class ArtifactRecord:
    """An artefact.

    Attributes:
      id: its number in ML Metadata.
      name: what the component that made it calls it, e.g. `bundle`.
      kind: its type, e.g. `Model`.
      uri: where it is.
      properties: what its component says of it, e.g. `blessed`.
    """

    id: int
    name: str
    kind: str
    uri: str
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class ComponentRecord:
    """A component's part in a run.

    Attributes:
      id: the execution's number in ML Metadata.
      run: id of the run.
      name: as TFX shows it.
      state: `complete`, `cached`, `failed` or `running`; that is also what one looks like that
        ended without a word.
      began: moment, in seconds since 1970.
      seconds: that it took so far.
      inputs: numbers of the artefacts it read.
      outputs: the artefacts it made, or took from the cache.
      properties: its parameters.
    """

    id: int
    run: str
    name: str
    state: str
    began: float
    seconds: float
    inputs: tuple[int, ...]
    outputs: tuple[ArtifactRecord, ...]
    properties: Mapping[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """A run of the pipeline.

    Attributes:
      id: as TFX names it, the moment it began.
      components: in the order in which they began.
    """

    id: str
    components: tuple[ComponentRecord, ...]

    @property
    def state(self) -> str:
        """`failed` or `running` if any component is, `cached` if all are, else `complete`."""
        states = {component.state for component in self.components}
        return next((one for one in (FAILED, RUNNING, COMPLETE) if one in states), CACHED)

    @property
    def began(self) -> float:
        """Moment of its first component, in seconds since 1970."""
        return self.components[0].began

    @property
    def seconds(self) -> float:
        """Time from its first component's beginning to its last one's end."""
        return max(one.began + one.seconds for one in self.components) - self.began


class PipelineMetadata:
    """The runs of one pipeline on this machine."""

    def __init__(self, file: Path, pipeline: str) -> None:
        """Reads what there is.

        Args:
          file: the SQLite file.
          pipeline: its name, which is the experiment's.

        Raises:
          UserError: if there is no file, or no run of the pipeline in it.
        """
        self._file, self._pipeline = file, pipeline
        if not file.exists():
            raise self._nothing()
        config = metadata_store_pb2.ConnectionConfig()
        config.sqlite.filename_uri = str(file)
        config.sqlite.connection_mode = config.sqlite.READONLY
        self._store = metadata_store.MetadataStore(config)
        if not self.runs:
            raise self._nothing()

    @cached_property
    def runs(self) -> list[RunRecord]:
        """The runs, newest first."""
        try:
            context = self._store.get_context_by_type_and_name("pipeline", self._pipeline)
        except errors.NotFoundError:
            context = None
        if context is None:
            return []
        executions = self._store.get_executions_by_context(context.id)
        found: dict[str, list[ComponentRecord]] = {}
        for record in self._components(executions):
            found.setdefault(record.run, []).append(record)
        return [RunRecord(name, tuple(found[name])) for name in sorted(found, reverse=True)]

    def run(self, wanted: str | None = None) -> RunRecord:
        """Finds a run.

        Args:
          wanted: its id, or the beginning of it; the newest by default.

        Raises:
          UserError: if there is none, or several.
        """
        fitting = [run for run in self.runs if run.id.startswith(wanted or "")]
        if wanted and len(fitting) != 1:
            problem = "no run begins so" if not fitting else f"{len(fitting)} runs begin so"
            known = ", ".join(run.id for run in self.runs[:3])
            raise UserError(f"{wanted}: {problem}; the last ones are {known}")
        return fitting[0]

    @cached_property
    def artifacts(self) -> dict[int, ArtifactRecord]:
        """All artefacts by number."""
        return {one.id: one for component in self._all for one in component.outputs}

    @cached_property
    def makers(self) -> dict[int, ComponentRecord]:
        """Number of an artefact -> the component that made it, and did not take it from a cache."""
        oldest_first = sorted(self._all, key=lambda component: component.id)
        made: dict[int, ComponentRecord] = {}
        for component in oldest_first:
            for artifact in component.outputs:
                made.setdefault(artifact.id, component)
        return made

    @property
    def _all(self) -> list[ComponentRecord]:
        return [component for run in self.runs for component in run.components]

    def _nothing(self) -> UserError:
        return UserError(
            f"{self._file}: knows no run of {self._pipeline}; `tfrec pipeline run CONFIG` makes "
            "one, and Kubeflow keeps its own"
        )

    def _names(self, kind: str) -> dict[int, str]:
        """Number of an execution -> name of its context of a kind."""
        return {
            execution.id: context.name
            for context in self._store.get_contexts_by_type(kind)
            for execution in self._store.get_executions_by_context(context.id)
        }

    def _components(self, executions: Iterable[Any]) -> list[ComponentRecord]:
        runs, nodes = self._names("pipeline_run"), self._names("node")
        executions = sorted(executions, key=lambda execution: execution.id)
        events = self._store.get_events_by_execution_ids([one.id for one in executions])
        numbers = {event.artifact_id for event in events}
        artifacts = {one.id: one for one in self._store.get_artifacts_by_id(sorted(numbers))}
        inputs: dict[int, list[int]] = {}
        outputs: dict[int, list[ArtifactRecord]] = {}
        for event in events:
            if event.type in _INPUTS:
                inputs.setdefault(event.execution_id, []).append(event.artifact_id)
            elif event.type in _OUTPUTS:
                made = _artifact(event, artifacts[event.artifact_id])
                outputs.setdefault(event.execution_id, []).append(made)
        return [
            ComponentRecord(
                id=one.id,
                run=runs[one.id],
                name=nodes[one.id].removeprefix(f"{self._pipeline}."),
                state=_STATES[one.last_known_state],
                began=one.create_time_since_epoch / 1000,
                seconds=(one.last_update_time_since_epoch - one.create_time_since_epoch) / 1000,
                inputs=tuple(inputs.get(one.id, ())),
                outputs=tuple(outputs.get(one.id, ())),
                properties=_properties(one),
            )
            for one in executions
        ]


def _artifact(event: Any, artifact: Any) -> ArtifactRecord:
    names = [step.key for step in event.path.steps if step.key]
    return ArtifactRecord(
        artifact.id, names[0] if names else "", artifact.type, artifact.uri, _properties(artifact)
    )


def _properties(one: Any) -> dict[str, Any]:
    """The numbers and texts of an artefact or an execution."""
    values = {**one.properties, **one.custom_properties}
    kinds = {name: value.WhichOneof("value") for name, value in values.items()}
    plain = ("string_value", "int_value", "double_value")
    return {name: getattr(values[name], kind) for name, kind in kinds.items() if kind in plain}
