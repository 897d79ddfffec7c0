"""`tfrec serving-config`: the files that a server is started with."""

from pathlib import Path

import click

from tfrec.errors import UserError


@click.command("serving-config")
@click.argument(
    "bundles",
    nargs=-1,
    required=True,
    metavar="BUNDLE...",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory to write.")
@click.option(
    "--server",
    type=click.Choice(["tensorflow_serving", "tfrec"]),
    default="tensorflow_serving",
    show_default=True,
    help="What is to read the files; bundles are checked for the operations that it has.",
)
@click.option(
    "--model-root",
    type=click.Path(path_type=Path),
    default="/models",
    show_default=True,
    help="Where the server will find ROOT/NAME/VERSION.",
)
@click.option(
    "--versions",
    default="latest",
    show_default=True,
    help="Those to serve of each model: latest, latest:N, all, or numbers: 3,5.",
)
@click.option("--label", "labels", multiple=True, metavar="LABEL=VERSION", help="Of one BUNDLE.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Also write parameters for running requests together, so many rows at once.",
)
def serving_config(
    bundles: tuple[Path, ...],
    out: Path,
    server: str,
    model_root: Path,
    versions: str,
    labels: tuple[str, ...],
    batch_size: int | None,
) -> None:
    """Render the config files of TensorFlow Serving, or of `tfrec serve`, from bundles.

    BUNDLE is the artefact of the export stage, or a version's directory below a model root. The
    server reads models.config, monitoring.config and, with --batch-size, batching.config; the last
    line that is printed starts it.

    \b
    Examples:
      tfrec serving-config runs/shop/export --out deploy/
      tfrec serving-config runs/shop/export runs/news/export --server tfrec --out deploy/
      tfrec serving-config serving/shop/3 --versions 2,3 --label stable=2 --label canary=3 --out x/
      tfrec serving-config runs/shop/export --batch-size 32 --model-root $PWD/serving --out deploy/
    """
    # All that reads bundles takes seconds to import.
    from tfrec.deploy.server_files import write_server_files
    from tfrec.deploy.serving_config import parse_versions
    from tfrec.stages.export import find_versions

    policy, given = parse_versions(versions), _labels(labels)
    found = [find_versions(bundle) for bundle in bundles]
    made = write_server_files(found, out, server, model_root, policy, given, batch_size)
    for model, version in zip(made.models, made.versions, strict=True):
        click.echo(f"{model.name}: served from {model.base_path}, which is to hold {version}")
    for model, sort in zip(made.models, made.batchable, strict=False):
        if sort.refused:
            click.echo(f"{model.name}: refused while batching: {', '.join(sort.refused)}")
    click.echo(made.command)


def _labels(given: tuple[str, ...]) -> dict[str, int]:
    labels = {}
    for text in given:
        label, equals, version = text.partition("=")
        if not (label and equals and version.isdecimal()):
            raise UserError(f"label: {text!r} is not of the form LABEL=VERSION, e.g. stable=3")
        labels[label] = int(version)
    return labels
