"""From a served version back to the rows it was made of."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tfrec.errors import UserError
from tfrec.pipelines.metadata import ArtifactRecord, ComponentRecord, PipelineMetadata

_PUSHED = "PushedModel"
_JUDGEMENTS = ("ModelBlessing", "InfraBlessing")
_MEASUREMENTS = ("tfrec.Evaluation", "ModelEvaluation")
_SEQUEL = "goes_on"


@dataclass(frozen=True)
class SourceRecord:
    """Files that a component read.

    Attributes:
      name: `events`, `items`, ...
      where: what the config calls them.
      fingerprint: digest of the files' names, sizes and times, when they were read.
      rows: how many they had; none where that is not known any more.
    """

    name: str
    where: tuple[str, ...]
    fingerprint: str
    rows: int | None


@dataclass(frozen=True)
class Made:
    """An artefact with what it was made of.

    Attributes:
      artifact: the artefact.
      by: the component that made it.
      of: numbers of the artefacts it was made of, but for what another of them was made of too.
      sources: the files it was made of.
      learned_on_from: where the model of an earlier run is that this one learned on from; none of
        what learned anew, or is no model. What that was made of is not followed.
    """

    artifact: ArtifactRecord
    by: ComponentRecord
    of: tuple[int, ...]
    sources: tuple[SourceRecord, ...]
    learned_on_from: str | None


@dataclass(frozen=True)
class Lineage:
    """What a version was made of.

    Attributes:
      version: its number.
      destination: where it was pushed to.
      made: number of an artefact -> how it was made; the pushed model first, then what it was made
        of, each before its own parts.
      blessings: component -> why it blessed the version.
    """

    version: str
    destination: str
    made: Mapping[int, Made]
    blessings: Mapping[str, str]

    @property
    def root(self) -> Made:
        """The pushed model."""
        return next(iter(self.made.values()))


def find_lineage(metadata: PipelineMetadata, version: str | None = None) -> Lineage:
    """Follows a version back.

    Args:
      metadata: of its pipeline.
      version: its number; the one pushed last by default.

    Raises:
      UserError: if the pipeline has not pushed it.
    """
    pushed = _find_pushed(metadata, version)
    ancestors = _ancestors(metadata, pushed.id)
    judges = sorted(
        number
        for number in metadata.makers[pushed.id].inputs
        if metadata.artifacts[number].kind in _JUDGEMENTS
    )
    return Lineage(
        pushed.properties["pushed_version"],
        pushed.properties["pushed_destination"],
        {number: _made(metadata, number, ancestors) for number in ancestors},
        {
            metadata.makers[number].name: metadata.artifacts[number].properties.get("because", "")
            for number in judges
        },
    )


def _find_pushed(metadata: PipelineMetadata, version: str | None) -> ArtifactRecord:
    pushed = [one for one in metadata.artifacts.values() if one.kind == _PUSHED]
    pushed.sort(key=lambda one: one.id, reverse=True)
    for one in pushed:
        if version is None or one.properties["pushed_version"] == version:
            return one
    if not pushed:
        raise UserError("lineage: the pipeline has pushed no version yet")
    known = ", ".join(dict.fromkeys(one.properties["pushed_version"] for one in pushed[:5]))
    raise UserError(
        f"{version}: the pipeline has not pushed this version; it pushed {known}; one that "
        "`tfrec run` pushed is described by the manifests below its runs"
    )


def _ancestors(metadata: PipelineMetadata, number: int) -> dict[int, set[int]]:
    """An artefact and all that it was made of, newest first -> all that this was made of."""
    found: dict[int, set[int]] = {}

    def visit(one: int) -> set[int]:
        if one not in found:
            found[one] = set()
            for part in _parts(metadata, one):
                found[one] |= {part} | visit(part)
        return found[one]

    visit(number)
    return dict(sorted(found.items(), reverse=True))


def _parts(metadata: PipelineMetadata, number: int) -> Iterator[int]:
    """What an artefact was made of, but for what only judged it."""
    for part in metadata.makers[number].inputs:
        if metadata.artifacts[part].kind not in (*_JUDGEMENTS, *_MEASUREMENTS):
            yield part


def _made(metadata: PipelineMetadata, number: int, ancestors: Mapping[int, set[int]]) -> Made:
    parts = set(_parts(metadata, number))
    indirect = set().union(*(ancestors[part] for part in parts))
    artifact, component = metadata.artifacts[number], metadata.makers[number]
    of = tuple(sorted(parts - indirect, reverse=True))
    sources = tuple(_sources(artifact, component))
    return Made(artifact, component, of, sources, _learned_on_from(metadata, component))


def _learned_on_from(metadata: PipelineMetadata, component: ComponentRecord) -> str | None:
    """The model that a trainer's prepared data are the sequel of."""
    if component.name != "Trainer":
        return None
    read = (metadata.artifacts[number].properties for number in component.inputs)
    return next((told[_SEQUEL] for told in read if _SEQUEL in told), None)


def _sources(artifact: ArtifactRecord, component: ComponentRecord) -> Iterator[SourceRecord]:
    """The files that were cleaned, as the component's parameters and the artefact tell."""
    if artifact.name != "cleaned":
        return
    data = json.loads(component.properties["config"])["data"]
    manifest = Path(artifact.uri) / "manifest.json"
    rows = json.loads(manifest.read_text())["summary"]["read"] if manifest.exists() else {}
    for name, fingerprint in json.loads(component.properties["sources"])["files"].items():
        yield SourceRecord(name, tuple(_where(data, name)), fingerprint, rows.get(name))


def _where(data: Mapping, name: str) -> Iterator[str]:
    """What a config says of where a kind of rows is."""
    described = data["clean"]["erased"] if name == "erased" else data[name]
    sources = described if isinstance(described, list) else [described]
    if name == "events" and data["split"]["kind"] == "files":
        sources = [*sources, data["split"]["validation"], data["split"]["test"]]
    for one in filter(None, sources):
        source = one["source"] if isinstance(one, Mapping) else one
        yield from [source] if isinstance(source, str) else source
