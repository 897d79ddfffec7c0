"""What a server is started with: its config files, and the flags that name them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfrec.deploy.served_version import Batchable, batchable, check_server
from tfrec.deploy.serving_config import render_batching, render_models, render_monitoring
from tfrec.errors import UserError
from tfrec.serving.model_config import ModelConfig, VersionPolicy

MODELS, BATCHING, MONITORING = "models.config", "batching.config", "monitoring.config"
PROGRAMS = {"tensorflow_serving": "tensorflow_model_server", "tfrec": "tfrec serve"}
"""Servers by the names that a bundle's manifest gives them, and what starts them."""


class ServerFiles(NamedTuple):
    """What was written.

    Attributes:
      models: what the server serves.
      versions: the directories that they were rendered from.
      batchable: of each, where requests are run together, how its signatures take to that.
      command: starts the server.
    """

    models: list[ModelConfig]
    versions: list[Path]
    batchable: list[Batchable]
    command: str


def write_server_files(
    bundles: Sequence[Sequence[Path]],
    out: Path,
    server: str,
    model_root: Path,
    policy: VersionPolicy,
    labels: Mapping[str, int],
    batch_rows: int | None = None,
) -> ServerFiles:
    """Renders `models.config`, `monitoring.config`, and `batching.config` where it is wanted.

    Args:
      bundles: of each the directory of its version, and behind it the twin's where there is one.
      out: directory to write.
      server: `tensorflow_serving` or `tfrec`.
      model_root: where the server finds `model_root/name/version`.
      policy: which versions of each model it serves.
      labels: version by label, of a single bundle.
      batch_rows: rows that are run together; by default each request is run by itself.

    Raises:
      UserError: if the server lacks an operation of a bundle, labels are given to several bundles
        or to versions that are not served, a model is there twice, or nothing can be batched.
    """
    if labels and len(bundles) > 1:
        raise UserError("label: is of one model; render each bundle with labels by itself")
    versions = [_checked(bundle, server) for bundle in bundles]
    root = model_root.absolute()
    models = [ModelConfig(v.parent.name, root / v.parent.name, policy, labels) for v in versions]
    files = {MODELS: render_models(models), MONITORING: render_monitoring()}
    sorts = [batchable(version) for version in versions] if batch_rows else []
    if batch_rows:
        files[BATCHING] = render_batching(batch_rows, sorts)
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        _write(out / name, text)
    flags = _flags(out.resolve(), bool(labels), bool(batch_rows))
    return ServerFiles(models, versions, sorts, " ".join([PROGRAMS[server], *flags]))


def _checked(bundle: Sequence[Path], server: str) -> Path:
    """The version of a bundle, which the server can run."""
    version, *twins = bundle
    check_server(version, server, *twins)
    return version


def _write(path: Path, text: str) -> None:
    """Writes a file whole: a server may be polling it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.rename(path)


def _flags(out: Path, labelled: bool, batching: bool) -> list[str]:
    """Both servers have them under the same names."""
    flags = [
        f"--model_config_file={out / MODELS}",
        f"--monitoring_config_file={out / MONITORING}",
        "--rest_api_port=8501",
    ]
    if labelled:
        flags.append("--allow_version_labels_for_unavailable_models")
    if batching:
        flags += ["--enable_batching", f"--batching_parameters_file={out / BATCHING}"]
    return flags
