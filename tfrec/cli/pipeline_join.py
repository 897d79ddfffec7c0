"""`tfrec pipeline join`: the tasks of a cluster that help the one which runs the pipeline."""

import os

import click

from tfrec.cli import overrides
from tfrec.cli.reporter import ConsoleReporter
from tfrec.errors import UserError
from tfrec.imports import uncollected_imports

_EPILOGUE = """\b
Examples, on another machine that sees the directories of the pipeline:
  TF_CONFIG='{"cluster": {"chief": ["a:2222"], "worker": ["b:2222"], "ps": ["c:2222"]},
              "task": {"type": "worker", "index": 0}}' tfrec pipeline join configs/shop.yaml
  tfrec pipeline join configs/shop.yaml --keep
\b
The task of kind chief (worker 0 where there is none) runs `tfrec pipeline run` meanwhile.
"""


@click.command(epilog=_EPILOGUE, context_settings=overrides.OPEN)
@click.argument("config")
@click.option("--keep", is_flag=True, help="Stay for the training of the next run, and so on.")
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
def join(config: str, keep: bool, values: tuple[str, ...]) -> None:
    """Help to train the model of a pipeline that another task of the cluster runs.

    For pipeline.training_on: tf_config, as the task that TF_CONFIG names. Waits for the run, which
    may begin up to training.worker_timeout later, and for its training; ends with that, or with a
    run that takes its model from the cache.
    """
    from pathlib import Path

    with uncollected_imports():
        from tfrec.pipelines.joining import join as join_run
        from tfrec.stages.experiment import Experiment
        from tfrec.training.existing_cluster import ExistingCluster

    experiment = Experiment.load(config, overrides=overrides.parse(values)).config
    section = experiment.pipeline
    if section.training_on != "tf_config":
        raise UserError(
            f"pipeline.training_on: {section.training_on}: there is nothing to join; give "
            "tf_config, to the task that runs the pipeline too"
        )
    if "://" in section.root:
        raise UserError(
            f"pipeline.root: {section.root}: tasks of a cluster meet in a directory that all of "
            "them see; name one"
        )
    task = ExistingCluster(os.environ.get("TF_CONFIG"))
    root = Path(section.root_of(experiment.name)).resolve()
    try:
        with ConsoleReporter() as reporter:
            model = join_run(task, root, experiment.training, keep, reporter)
    except KeyboardInterrupt:
        raise UserError("join: interrupted; the same command helps again") from None
    click.echo(f"join: {model or 'the run ended without training; its model is from the cache'}")
