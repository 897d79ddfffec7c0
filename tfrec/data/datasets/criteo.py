"""Criteo: a week of display advertisements and their clicks."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from tfrec.data.datasets.dataset import Column, Dataset, Published, Table
from tfrec.data.datasets.delimited import read_delimited
from tfrec.data.datasets.source_file import SourceFile

_COLUMNS = (
    Column("label", pa.int64(), "1 if clicked, else 0"),
    *(Column(f"I{n}", pa.int64(), "count, undisclosed; may be null") for n in range(1, 14)),
    *(Column(f"C{n}", pa.string(), "hash, undisclosed; may be null") for n in range(1, 27)),
)


def _read(files: Sequence[SourceFile]) -> Iterator[pa.Table]:
    types = {column.name: column.type for column in _COLUMNS}
    for file in files:
        yield from read_delimited(file, types, delimiter="\t", header=False, quoted=False)


CRITEO = Dataset(
    summary="a week of display advertisements and their clicks, in order of time",
    licence="Criteo's terms on its page: research, no commercial use",
    citation="Criteo Labs (2014), Display Advertising Challenge, "
    "https://www.kaggle.com/c/criteo-display-ad-challenge",
    origin=Published("train.txt (unpack dac.tar.gz)", "https://ailab.criteo.com/ressources"),
    tables={
        "impressions": Table(
            "an advertisement shown", _COLUMNS, _read, (r"train\.txt(\.gz)?",), rows=45_840_617
        )
    },
    data=None,
    note="It has no shopper, no item and no time: use it for click models. Clicks and "
    "non-clicks were sampled at different rates.",
)
