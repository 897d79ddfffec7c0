"""Reading CSV and TSV: every value is text, and a broken row costs no other row."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tfrec.data.formats.rows import BadRow, FormatError, bad_row, batches, check_header
from tfrec.data.formats.stream import is_utf8, read_lines

_LONGEST_ROW_BYTES = 1 << 20
_UNCLOSED = "quote that is not closed"
_REPLACED = "\N{REPLACEMENT CHARACTER}"


def column_types(file: str, delimiter: str = ",") -> dict[str, pa.DataType]:
    """Reads the header: name -> string."""
    for _, content in _whole_rows(file, delimiter):
        names, _ = _read_header(content, delimiter)
        check_header(names, ())
        return dict.fromkeys(names, pa.string())
    return {}


def read(
    file: str, columns: Sequence[str], delimiter: str = ","
) -> Iterator[pa.RecordBatch | BadRow]:
    """Reads columns of a file whose first row names them.

    Values may stand in double quotes and then hold delimiters, line feeds and doubled quotes. A
    value of several lines must be closed properly and within 1 MB; where it is not, the line with
    its opening quote is bad, and each line behind it is read as a row.

    Args:
      file: path of the file.
      columns: names of the columns.
      delimiter: what separates values.

    Yields:
      Batches of strings, null where nothing is written, with the line on which each row begins;
      and the rows with another number of values than the header, or whose wanted values are not
      UTF-8. Empty lines are skipped.

    Raises:
      FormatError: if the file has rows, but no header that names every wanted column once.
    """
    names: list[str] = []
    for line, rows in _whole_rows(file, delimiter):
        size = 0
        if not names:
            names, size = _read_header(rows, delimiter)
        content, count = rows[size:], rows.count(b"\n")
        lines = np.arange(line + rows.count(b"\n", 0, size), line + count)
        if content.strip(b"\n"):
            check_header(names, columns)
            yield from _Reader(file, names, columns, delimiter).read(content, lines)


def _whole_rows(file: str, delimiter: str) -> Iterator[tuple[int, bytes]]:
    """Cuts a file between rows: yields pieces of it, each with the line on which it begins."""
    line, rest = 1, b""
    for lines in read_lines(file):
        content = rest + lines
        size = _size_of_whole_rows(content, delimiter)
        if size:
            yield line, content[:size]
        line, rest = line + content.count(b"\n", 0, size), content[size:]
    if rest:
        yield line, rest


def _size_of_whole_rows(content: bytes, delimiter: str) -> int:
    if b'"' not in content:
        return len(content)
    ends = _layout(content, delimiter).row_ends
    size = int(ends[-1]) + 1 if len(ends) else 0
    return size if len(content) - size <= _LONGEST_ROW_BYTES else len(content)


def _read_header(content: bytes, delimiter: str) -> tuple[list[str], int]:
    """Reads the names in the first row that is not empty; also says how many bytes it takes."""
    start = len(content) - len(content.lstrip(b"\n"))
    ends = _layout(content, delimiter).row_ends
    size = int(ends[ends >= start][0]) + 1 if (ends >= start).any() else len(content)
    try:
        text = content[start : size - 1].decode()
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []), size
    except (UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"its header is not UTF-8 text: {error}") from None


class _Layout(NamedTuple):
    """Where lines and rows end.

    Attributes:
      newlines: positions of all line feeds.
      row_ends: positions of those outside quotes.
      loose: positions of closing quotes that neither a delimiter nor a line feed follows.
    """

    newlines: np.ndarray
    row_ends: np.ndarray
    loose: np.ndarray


def _layout(content: bytes, delimiter: str) -> _Layout:
    data = np.frombuffer(content, np.uint8)
    newlines = np.flatnonzero(data == ord("\n"))
    if b'"' not in content:
        return _Layout(newlines, newlines, newlines[:0])
    quotes = _value_quotes(data, delimiter)
    outside = np.searchsorted(quotes, newlines) % 2 == 0
    closing = quotes[1::2]
    loose = closing[~_table(f'{delimiter}\n"')[data[closing + 1]]]
    return _Layout(newlines, newlines[outside], loose)


def _value_quotes(data: np.ndarray, delimiter: str) -> np.ndarray:
    """Positions of the quotes that open (0th, 2nd, ...) and close (1st, 3rd, ...) a value.

    A quote opens a value only at the value's beginning; any other, as in `12" pan`, is text. A
    doubled quote counts as closing the value and opening it again.
    """
    quotes = np.flatnonzero(data == ord('"'))
    at_start = _table(f"{delimiter}\n")[data[quotes - 1]] | (quotes == 0)
    doubled = np.r_[False, np.diff(quotes) == 1]
    if (at_start | doubled)[::2].all():
        return quotes
    kept: list[int] = []
    for position, starts in zip(quotes.tolist(), at_start.tolist(), strict=True):
        inside = len(kept) % 2 == 1
        if inside or starts or (kept and kept[-1] == position - 1):
            kept.append(position)
    return np.array(kept, quotes.dtype)


def _table(characters: str) -> np.ndarray:
    """Whether a byte is one of some characters: `[256]`."""
    return np.isin(np.arange(256), list(characters.encode()))


@dataclass(frozen=True)
class _Reader:
    """Reads rows of one header."""

    file: str
    names: Sequence[str]
    columns: Sequence[str]
    delimiter: str

    def read(self, content: bytes, lines: np.ndarray) -> Iterator[pa.RecordBatch | BadRow]:
        """Reads rows; `lines` has the number of each line in `content`."""
        layout = _layout(content, self.delimiter)
        ends, reasons = _row_ends(layout)
        starts = np.r_[0, ends[:-1] + 1]
        first_lines = np.searchsorted(layout.newlines, starts)
        table, wrong = self._parse(content)
        reasons |= dict.fromkeys(wrong, "wrong number of columns")
        rows = np.delete(np.arange(len(ends)), wrong)  # Of each row of the table.
        for row in rows[_replaced(table)].tolist():
            if not is_utf8(content[starts[row] : ends[row]]):
                reasons[row] = "invalid UTF-8"
        good = ends > starts
        good[list(reasons)] = False
        kept = table.filter(pa.array(good[rows]))
        values = dict(zip(self.columns, kept.columns, strict=True))
        yield from batches(values, lines[first_lines[good]])
        behind: list[tuple[int, bytes]] = []
        for row, reason in reasons.items():
            text, *others = content[starts[row] : ends[row]].split(b"\n")
            first = int(first_lines[row])
            yield bad_row(self.file, int(lines[first]), reason, text)
            behind += zip(lines[first + 1 : first + 1 + len(others)].tolist(), others, strict=True)
        if behind:
            yield from self._read_each_line(behind)

    def _read_each_line(
        self, lines: Iterable[tuple[int, bytes]]
    ) -> Iterator[pa.RecordBatch | BadRow]:
        """Reads lines behind the first of a broken row: each is a row."""
        numbers, rows = [], []
        for number, text in lines:
            row = text + b"\n"
            if len(_layout(row, self.delimiter).row_ends):
                numbers.append(number)
                rows.append(row)
            else:
                yield bad_row(self.file, number, _UNCLOSED, text)
        if rows:
            yield from self.read(b"".join(rows), np.array(numbers))

    def _parse(self, content: bytes) -> tuple[pa.Table, list[int]]:
        """Values of the wanted columns, without the rows of another width; and those rows."""
        if not is_utf8(content):
            content = content.decode("utf-8", "replace").encode()
        wrong = []

        def skip(row: pa.csv.InvalidRow) -> str:
            wrong.append(row.number - 1)
            return "skip"

        # Arrow's streaming reader, `open_csv`, at times aborts a process that ends soon after it.
        table = pa.csv.read_csv(
            pa.BufferReader(content),
            # One block and no threads: only then has a row of another width its number.
            pa.csv.ReadOptions(
                use_threads=False, block_size=len(content) + 1, column_names=self.names
            ),
            pa.csv.ParseOptions(
                delimiter=self.delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
                invalid_row_handler=skip,
            ),
            pa.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(self.columns, pa.string()),
                include_columns=self.columns,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        return table.select(self.columns), wrong


def _row_ends(layout: _Layout) -> tuple[np.ndarray, dict[int, str]]:
    """Where each row ends, and which rows have an opening quote that is not closed properly."""
    lines = np.searchsorted(layout.newlines, layout.row_ends)
    takes_several = np.diff(lines, prepend=-1) > 1
    loose = np.searchsorted(layout.row_ends, layout.loose)
    is_open = not len(lines) or lines[-1] != len(layout.newlines) - 1
    ends = np.append(layout.row_ends, layout.newlines[-1]) if is_open else layout.row_ends
    unclosed = [row for row in np.unique(loose).tolist() if row == len(lines) or takes_several[row]]
    return ends, dict.fromkeys(unclosed + [len(lines)] * is_open, _UNCLOSED)


def _replaced(table: pa.Table) -> np.ndarray:
    """Whether any value of a row has a character that stands for bytes that are not UTF-8."""
    found = np.zeros(len(table), bool)
    for column in table.columns:
        found |= pc.match_substring(column, _REPLACED).fill_null(False).to_numpy()
    return found
