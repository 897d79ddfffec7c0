"""Times a whole TFX pipeline on MovieLens-100K, once anew and once from the cache.

It is the project of `examples/pipeline`, run by `tfrec pipeline run` as a user would, beside `tfrec
run` of the same config: what TFX adds to the stages is its own components and its metadata. A last
process imports the package alone.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

PROJECT = Path(__file__).parent.parent / "examples" / "pipeline"

EPILOGUE = """
\b
Examples:
  python benchmarks/pipeline.py
  python benchmarks/pipeline.py --quick
"""


@click.command(help=__doc__.partition("\n")[0], epilog=EPILOGUE)
@click.option("--quick", is_flag=True, help="The pipeline alone, with one epoch.")
def main(quick: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(shutil.copytree(PROJECT, folder, dirs_exist_ok=True))
        less = ["--training.epochs", "1"] if quick else []
        anew = timed(project, "pipeline", "run", "films.yaml", *less)
        cached = timed(project, "pipeline", "run", "films.yaml", *less)
        stages = 0.0 if quick else timed(project, "run", "films.yaml", "--serving.root", "alone/")
    figures = {
        "seconds": anew,
        "cached_seconds": cached,
        "import_seconds": seconds_of([sys.executable, "-c", "import tfrec"], PROJECT),
    }
    if stages:
        figures["vs_stages"] = round(anew / stages, 2)
    print(json.dumps(figures))


def timed(project: Path, *command: str) -> float:
    """The time of a `tfrec` command, which prints what it did."""
    print(f"tfrec {' '.join(command)}", flush=True)
    return seconds_of([sys.executable, "-m", "tfrec.cli.main", *command], project)


def seconds_of(command: list[str], folder: Path) -> float:
    """The time of a process, its start included."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True)
    return round(time.perf_counter() - started, 2)


if __name__ == "__main__":
    main()
