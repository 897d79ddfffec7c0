import numpy as np
import tensorflow_transform as tft

from tfrec.data.input_pipeline import read_examples
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.row_counts import count_rows
from tfrec.features import FeatureSpec
from tfrec.features.plan import embedding_plan


def test_each_row_has_as_many_examples_as_were_written(
    prepared: PreparedData, spec: FeatureSpec
) -> None:
    tables = embedding_plan(spec, tft.TFTransformOutput(str(prepared.transform)))
    rows = {name: tables[name].rows for name in ("shopper", "sku")}

    counts = count_rows(prepared.example_files(TRAIN), spec, rows)

    expected = {name: [0] * size for name, size in rows.items()}
    for batch in read_examples(prepared.examples(TRAIN), spec, 100):
        for name in rows:
            for row in batch[name].numpy():
                expected[name][row] += 1
    assert {name: found.tolist() for name, found in counts.items()} == expected
    assert np.sum(counts["sku"]) == prepared.parts[TRAIN].examples
