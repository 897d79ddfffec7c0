"""A sample of each part's examples, in raw values."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tfrec.data.columns import Columns
from tfrec.data.shard import Shard, View
from tfrec.data.splits import EXAMPLE_PARTS
from tfrec.features import FeatureSpec


class Sample:
    """Draws examples of each part by chance, each with the same probability."""

    def __init__(
        self, spec: FeatureSpec, columns: Columns, shares: Mapping[str, float], seed: int
    ) -> None:
        """Takes the features, and the share of its examples to draw of each part."""
        self._spec, self._columns, self._shares = spec, columns, shares
        self._random = np.random.default_rng(seed)
        self._tables: dict[str, list[pa.Table]] = {part: [] for part in EXAMPLE_PARTS}

    def add(self, shard: Shard) -> None:
        """Draws from a shard."""
        for part in EXAMPLE_PARTS:
            rows = shard.of_part(part)
            rows = rows[self._random.random(len(rows)) < self._shares[part]]
            self._tables[part].append(self._raw(shard.view(part), rows))

    def of(self, part: str) -> pa.Table:
        """The examples drawn of a part: a column of raw values for each feature."""
        return pa.concat_tables(self._tables[part]).combine_chunks()

    def _raw(self, view: View, rows: np.ndarray) -> pa.Table:
        shard = view.shard
        places = np.searchsorted(view.rows, rows)
        columns = {}
        for name in self._spec.root:
            sequence = self._spec.sequences.get(name)
            if sequence:
                columns[name] = view.sequence(sequence, shard.value(sequence.of)).take(places)
            elif self._columns.places[name] == "behaviour":
                columns[name] = pa.array(view.behaviour(name)[places], from_pandas=True)
            else:
                columns[name] = shard.value(name).take(pa.array(rows))
        return pa.table(columns)
