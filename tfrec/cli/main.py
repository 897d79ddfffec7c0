"""The `tfrec` command."""

import logging
import os
import sys

import click
from rich.console import Console
from rich.logging import RichHandler

import tfrec
from tfrec.cli.data import data
from tfrec.cli.datasets import datasets
from tfrec.cli.features import features
from tfrec.cli.gateway import gateway, gateway_key
from tfrec.cli.items import items
from tfrec.cli.loadtest import loadtest
from tfrec.cli.measure import measure
from tfrec.cli.pipeline import pipeline
from tfrec.cli.plan import plan
from tfrec.cli.query import query
from tfrec.cli.recommend import recommend
from tfrec.cli.serve import serve
from tfrec.cli.serving_config import serving_config
from tfrec.cli.stages import STAGE_COMMANDS, run
from tfrec.cli.tune import tune
from tfrec.cli.uplift import uplift
from tfrec.cli.verify import verify
from tfrec.errors import UserError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tfrec.__version__)
def cli() -> None:
    """Recommenders on TensorFlow, from raw shop events to answers in milliseconds.

    \b
    Examples:
      tfrec run configs/complete_journey.yaml
      tfrec serve serving/complete_journey
      tfrec query complete_journey --household_id 2375 -k 10
    """


for command in (
    *(run, *STAGE_COMMANDS, plan, tune, verify, serve, query, recommend, items, loadtest),
    *(gateway, gateway_key),
    *(serving_config, data, datasets, features, measure, uplift, pipeline),
):
    cli.add_command(command)


def main() -> None:
    """Runs the command; a user's error leaves as one line and its exit status."""
    # gRPC's core would print a line of its own beside ours, e.g. when a port is in use.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    errors = Console(stderr=True)
    logging.basicConfig(
        level=logging.ERROR,
        format="%(message)s",
        handlers=[RichHandler(console=errors, show_path=False)],
    )
    logging.getLogger("tfrec").setLevel(logging.INFO)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        cli()
    except UserError as error:
        errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
