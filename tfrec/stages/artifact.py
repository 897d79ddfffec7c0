"""Artefacts: directories that exist whole or not at all, and say what they came from."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfrec.config import Section
from tfrec.errors import UserError
from tfrec.stages.resources import PeakMemory

_PACKAGES = ("tfrec", "tensorflow", "tensorflow-transform", "apache-beam", "scann")
MANIFEST = "manifest.json"


class Manifest(Section):
    """What an artefact is, where it came from, and what making it took.

    Attributes:
      stage: the stage that made it.
      id: of this very making; training the same twice makes two models.
      digest: of all that decides its content: config, inputs and versions.
      config: the config section it was made with.
      inputs: name -> id of an input artefact, or digest of a source.
      versions: package -> version.
      seconds: time that making it took.
      peak_memory_bytes: the most memory in use meanwhile, in all processes together.
      summary: what is worth telling about it.
    """

    stage: str
    id: str
    digest: str
    config: dict[str, Any]
    inputs: dict[str, str]
    versions: dict[str, str]
    seconds: float
    peak_memory_bytes: int
    summary: dict[str, Any]


class Artifact:
    """A directory with a manifest.

    Attributes:
      path: the directory.
    """

    def __init__(self, path: Path) -> None:
        """Names an artefact; nothing is read yet."""
        self.path = path

    @property
    def manifest(self) -> Manifest:
        """The artefact's manifest.

        Raises:
          UserError: if there is no whole artefact, or another version of tfrec made it.
        """
        try:
            return Manifest.model_validate_json((self.path / MANIFEST).read_text())
        except ValueError:
            raise UserError(
                f"{self.path / MANIFEST}: not as this version of tfrec writes it; "
                f"remove {self.path} and run its stage again"
            ) from None
        except OSError:
            raise UserError(
                f"{self.path}: not there yet; run `tfrec {self.path.name} CONFIG` first, "
                "or `tfrec run CONFIG` for all stages"
            ) from None

    @property
    def began(self) -> float:
        """The moment when making it, or what it was made of, began, in seconds since 1970."""
        manifest = self.manifest
        ended = (self.path / MANIFEST).stat().st_mtime
        return manifest.summary.get("began", ended - manifest.seconds)


def produce(
    stage: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    target: Path,
    make: Callable[[Path], dict[str, Any]],
    resumable: bool = False,
    resume: bool = False,
    work: Path | None = None,
) -> Artifact:
    """Makes an artefact, unless it is there already and would come out the same.

    It is made in a directory beside its target, which stays there when making fails; see
    `unfinished`.

    Args:
      stage: the stage's name.
      config: all of the config that decides the content, as plain values.
      inputs: name -> id or digest of what it is made from.
      target: the artefact's directory.
      make: fills the directory it is given and returns the manifest's summary.
      resumable: whether `make` can go on with what an earlier, failed call of the same inputs
        left in the directory; otherwise it gets an empty one.
      resume: whether there must be something to go on with.
      work: what the directory is named after in place of the target, where the next try has
        another target; on the same disk.

    Returns:
      The artefact.

    Raises:
      UserError: if there is nothing to go on with, but must be.
    """
    text, digest = _identity(stage, config, inputs)
    artifact = Artifact(target)
    if _digest(artifact) == digest:
        return artifact
    work = work or target
    partial = unfinished(stage, config, inputs, work)
    if resume and not partial.exists():
        raise UserError(
            f"{target}: nothing of this config and these inputs to resume; "
            f"leave out --resume to {stage} from the start"
        )
    for left in left_unfinished(work):
        if left != partial or not resumable:
            shutil.rmtree(left)
    partial.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with PeakMemory() as memory:
        summary = make(partial)
    manifest = Manifest(
        **json.loads(text),
        id=uuid.uuid4().hex,
        digest=digest,
        seconds=round(time.monotonic() - started, 1),
        peak_memory_bytes=memory.peak_bytes,
        summary=summary,
    )
    (partial / MANIFEST).write_text(manifest.model_dump_json(indent=2))
    _move_into_place(partial, target)
    return artifact


def package_versions() -> dict[str, str]:
    """The versions that decide what artefacts come out."""
    return {package: importlib.metadata.version(package) for package in _PACKAGES}


def unfinished(
    stage: str, config: Mapping[str, Any], inputs: Mapping[str, str], work: Path
) -> Path:
    """The directory in which `produce` makes an artefact of these, and leaves what it broke off."""
    _, digest = _identity(stage, config, inputs)
    return work.with_name(f".{work.name}-{digest[:12]}")


def left_unfinished(work: Path) -> list[Path]:
    """All such directories that are named after a path, or after any that its pattern fits."""
    return [*work.parent.glob(f".{work.name}-{'[0-9a-f]' * 12}")]


def made_of(partial: Path) -> Path | None:
    """The artefact that a directory of `unfinished` has become; none if it was given up."""
    _, _, beginning = partial.name.rpartition("-")
    beside = sorted(partial.parent.glob(f"*/{MANIFEST}"), key=lambda file: -file.stat().st_mtime)
    made = (file.parent for file in beside)
    return next((one for one in made if (_digest(Artifact(one)) or "").startswith(beginning)), None)


def is_made(stage: str, config: Mapping[str, Any], inputs: Mapping[str, str], target: Path) -> bool:
    """Whether the artefact that is there is what `produce` would make of these."""
    _, digest = _identity(stage, config, inputs)
    return _digest(Artifact(target)) == digest


def _identity(stage: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> tuple[str, str]:
    """All that decides an artefact's content, as JSON, and its digest."""
    identity = {"stage": stage, "config": config, "inputs": inputs, "versions": package_versions()}
    text = json.dumps(identity, sort_keys=True, default=str)
    return text, hashlib.sha256(text.encode()).hexdigest()


def _digest(artifact: Artifact) -> str | None:
    try:
        return artifact.manifest.digest
    except UserError:
        return None


def _move_into_place(partial: Path, target: Path) -> None:
    """Renames a directory over another; a reader sees the old one, none for a moment, the new."""
    old = target.with_name(f".{target.name}-old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
