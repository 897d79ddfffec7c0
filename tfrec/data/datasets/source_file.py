"""The files of a data set as they are published: in a directory, in a zip, or alone."""

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from tfrec.errors import UserError

_ARCHIVES = (".zip", ".whl")
_DAMAGE = (
    pa.ArrowException, OSError, EOFError, UnicodeError, zlib.error, zipfile.BadZipFile
)  # fmt: skip


@dataclass(frozen=True)
class SourceFile:
    """A file on disk, or a member of a zip archive on disk.

    Attributes:
      path: the file or the archive.
      member: name inside the archive.
    """

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        """Names it in messages."""
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Its path as published, with `/` between the parts."""
        return self.member or self.path.as_posix()

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Opens it for reading, without its gzip if it has one.

        Raises:
          UserError: if it turns out, while it is read, that it is not what its name says.
        """
        try:
            with ExitStack() as stack:
                if self.member:
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    stream = stack.enter_context(archive.open(self.member))
                else:
                    stream = stack.enter_context(self.path.open("rb"))
                if self.name.endswith(".gz"):
                    stream = cast(IO[bytes], gzip.GzipFile(fileobj=stream))
                yield stream
        except _DAMAGE as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self}: {reason:.300}; give the file as published") from None


def list_files(source: Path) -> list[SourceFile]:
    """Lists what a path given by the user holds.

    Args:
      source: a directory, a zip, or a single file.

    Returns:
      All files under it.

    Raises:
      UserError: if there is nothing, or it is no zip although its name says so.
    """
    if source.is_dir():
        return [SourceFile(path) for path in sorted(source.rglob("*")) if path.is_file()]
    if not source.exists():
        raise UserError(f"--from {source}: no such file; give a directory, a zip or a file")
    if source.suffix.lower() not in _ARCHIVES:
        return [SourceFile(source)]
    try:
        with zipfile.ZipFile(source) as archive:
            names = [member.filename for member in archive.infolist() if not member.is_dir()]
    except zipfile.BadZipFile as error:
        raise UserError(f"--from {source}: {error}; download it again") from None
    return [SourceFile(source, name) for name in names]


def match_files(pattern: str, files: Sequence[SourceFile]) -> list[SourceFile]:
    """Finds the files whose path ends with what a regular expression describes."""
    return [file for file in files if re.fullmatch(f"(.*/)?({pattern})", file.name)]
