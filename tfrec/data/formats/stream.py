"""Reading a file of any file system as a stream of bytes, and text in blocks of whole lines."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from tfrec.data.formats.rows import FormatError

# On Python 3.10 each call of Arrow's CSV reader walks through all objects of the process, which
# takes as long as parsing some megabytes.
BLOCK_BYTES = 16 << 20
_LONGEST_LINE_BYTES = 64 << 20

_NO_UTF8 = {
    b"\x1f\x8b": "is compressed by gzip; end its name in .gz",
    b"PK\x03\x04": "is a zip archive; unpack it",
    b"\xff\xfe": "is UTF-16; save it as UTF-8",
    b"\xfe\xff": "is UTF-16; save it as UTF-8",
}


@contextmanager
def open_file(file: str) -> Iterator[IO[bytes]]:
    """Opens a file of any file system that Beam knows, without its gzip if its name ends in .gz."""
    # Beam's own decompression takes the end of a truncated file for the end of its content.
    with FileSystems.open(file, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        if file.lower().endswith(".gz"):
            with gzip.open(stream) as content:
                yield cast(IO[bytes], content)
        else:
            yield stream


def read_lines(file: str) -> Iterator[bytes]:
    """Reads UTF-8 text in blocks.

    Args:
      file: path of the file.

    Yields:
      Whole lines of about `BLOCK_BYTES` together. Each line ends in a single line feed, the last
      one too and however they end in the file; a byte-order mark is left out.

    Raises:
      FormatError: if the file is no UTF-8 text or a line is too long to be one.
    """
    with open_file(file) as stream:
        rest = _first_bytes(stream)
        while chunk := stream.read(BLOCK_BYTES):
            while chunk.endswith(b"\r") and (following := stream.read(1)):
                chunk += following
            lines, newline, rest = _line_feeds(rest + chunk).rpartition(b"\n")
            if newline:
                yield lines + newline
            elif len(rest) > _LONGEST_LINE_BYTES:
                raise FormatError(f"a line is longer than {_LONGEST_LINE_BYTES >> 20} MB")
        if rest:
            yield _line_feeds(rest).removesuffix(b"\n") + b"\n"


def is_utf8(content: bytes) -> bool:
    """Whether bytes are UTF-8 text."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _first_bytes(stream: IO[bytes]) -> bytes:
    first = stream.read(4)
    for mark, problem in _NO_UTF8.items():
        if first.startswith(mark):
            raise FormatError(problem)
    return first.removeprefix(b"\xef\xbb\xbf")


def _line_feeds(text: bytes) -> bytes:
    if b"\r" not in text:
        return text
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
