"""`tfrec run`, and each of its stages as a command of its own."""

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from tfrec.cli import overrides
from tfrec.cli.reporter import ConsoleReporter, show_change, show_metrics, show_stages
from tfrec.errors import UserError
from tfrec.imports import uncollected_imports

_STAGES = {
    "prepare": "Clean, split and transform the shop's events and catalogue.",
    "train": "Train the model on the prepared data.",
    "index": "Embed the catalogue and index it.",
    "evaluate": "Rank the catalogue for every shopper of the test window.",
    "export": "Join model and index into a bundle for TensorFlow Serving.",
    "push": "Copy the bundle to the model root that servers watch.",
}

_EPILOGUE = """\b
Any value of the config can be given by its dotted name:
  tfrec {name} configs/complete_journey.yaml --training.workers 4
"""
_BEAM_EPILOGUE = """
\b
Options of Beam, which runs preparation, need no dots:
  tfrec {name} configs/complete_journey.yaml --runner FlinkRunner --flink_master localhost:8081
"""
_INDEX_EPILOGUE = """
\b
An index that an unmodified TensorFlow Serving loads:
  tfrec {name} configs/complete_journey.yaml --kind partitioned
"""
_RUN_BEAM = {"run", "prepare"}
_TRAIN = {"run", "train"}
_RESUME = click.option(
    "--resume",
    is_flag=True,
    help="Go on with training that was cut short; an error where there is none.",
)
_KIND = click.option(
    "--kind",
    type=click.Choice(["auto", "brute_force", "partitioned", "scann"]),
    help="Short for --index.kind: exact search, an inverted file in TensorFlow's own ops, or "
    "ScaNN; auto chooses by the size of the catalogue and by index.runs_on.",
)


def _experiment_command(name: str, purpose: str, act: Callable[[Any], None]) -> click.Command:
    """Makes a command that loads an experiment and acts on it."""
    epilogue = _EPILOGUE
    if name in _RUN_BEAM:
        epilogue += _BEAM_EPILOGUE
    if name == "index":
        epilogue += _INDEX_EPILOGUE

    @click.command(
        name,
        help=purpose,
        epilog=epilogue.format(name=name),
        context_settings=overrides.OPEN,
    )
    @click.argument("config")
    @click.option("--model", help="Template to use: package.Class or file.py:Class.")
    @click.option(
        "--strategy",
        type=click.Choice(["single", "mirrored", "multi_worker_mirrored", "parameter_server"]),
        help="Short for --training.strategy.",
    )
    @click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="[--NAME VALUE]...")
    def command(
        config: str,
        model: str | None,
        strategy: str | None,
        values: tuple[str, ...],
        resume: bool = False,
        kind: str | None = None,
    ) -> None:
        with uncollected_imports():
            from tfrec.deploy.submitters import check_runs_all, make_submitter
            from tfrec.stages.experiment import Experiment, ExperimentConfig

        changes = overrides.parse(values)
        if name in _RUN_BEAM:
            changes = overrides.for_beam(changes, ExperimentConfig.model_fields)
        if model:
            changes["model.template"] = model
        if strategy:
            changes["training.strategy"] = strategy
        if kind:
            changes["index.kind"] = kind
        experiment = Experiment.load(config, overrides=changes, resume=resume)
        if name == "run":
            check_runs_all(experiment.config.pipeline)
        if name in _TRAIN:
            experiment.submitter = make_submitter(
                experiment.config.pipeline, experiment.config.name
            )
        try:
            act(experiment)
        except KeyboardInterrupt:
            raise UserError(
                f"{name}: interrupted; the same command goes on behind what is done"
            ) from None

    if name == "index":
        command = _KIND(command)
    return _RESUME(command) if name in _TRAIN else command


def _run(experiment: Any) -> None:
    with ConsoleReporter() as reporter:
        version = experiment.run(reporter)
    show_stages(experiment)
    show_metrics(experiment)
    show_change(experiment)
    click.echo(f"serving: {version}")


def _run_stage(name: str, experiment: Any) -> None:
    from tfrec.stages.experiment import STAGES

    with ConsoleReporter() as reporter:
        reporter.stage(name)
        made = STAGES[name](experiment, reporter)
    if name == "evaluate":
        show_metrics(experiment)
    if name == "export":
        show_change(experiment)
    click.echo(f"{name}: {getattr(made, 'path', made)}")


run = _experiment_command(
    "run", "Run all stages; what would come out unchanged is not made again.", _run
)
STAGE_COMMANDS = [
    _experiment_command(name, purpose, partial(_run_stage, name))
    for name, purpose in _STAGES.items()
]
