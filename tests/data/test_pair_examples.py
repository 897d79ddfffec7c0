from collections import Counter

import pytest
import tensorflow_transform as tft
from busy_shop import spec_of
from records import Example, read_all_examples, read_example_files

from tfrec.data.catalogue import Catalogue
from tfrec.data.input_pipeline import read_shuffled
from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.data.splits import EXAMPLE_PARTS
from tfrec.features import FeatureSpec
from tfrec.features.parsing import ITEM_ROW, REPEAT, SOURCE, TIME, WEIGHT

Followed = dict[str, list[list[tuple]]]


@pytest.fixture(scope="module")
def examples(paired: PreparedData) -> dict[str, list[Example]]:
    return {part: read_all_examples(paired.pair_examples(part)) for part in EXAMPLE_PARTS}


@pytest.fixture(scope="module")
def rows(paired: PreparedData) -> dict[str, dict[str, int]]:
    """Feature -> value -> its row in the table."""
    transform = tft.TFTransformOutput(str(paired.transform))
    return {
        name: {word.decode(): row for row, word in enumerate(transform.vocabulary_by_name(name))}
        for name in ("sku", "aisle")
    }


def test_each_source_of_a_session_leads_to_at_most_so_many_targets_of_its_part(
    examples: dict[str, list[Example]], bought_after: Followed, rows: dict[str, dict[str, int]]
) -> None:
    for part, sessions in bought_after.items():
        possible = {
            (rows["sku"].get(source.sku), int(target.sku[-3:]))
            for session in sessions
            for source, target in session
        }
        targets = [Counter({(s.sku, t.sku): 1 for s, t in session}) for session in sessions]
        drawn = sum(
            min(2, count)
            for found in targets
            for count in Counter(source for source, _ in found).values()
        )

        found = [(e[SOURCE + "sku"][0], e[ITEM_ROW][0]) for e in examples[part]]

        known = set(rows["sku"].values())
        assert len(found) == drawn > 10
        assert {pair for pair in found if pair[0] in known} <= possible


def test_both_items_have_their_features_and_the_shopper_none(
    examples: dict[str, list[Example]], rows: dict[str, dict[str, int]]
) -> None:
    sku_of = {row: sku for sku, row in rows["sku"].items()}
    for example in examples[TRAIN]:
        source, target = example[SOURCE + "sku"][0], example["sku"][0]

        assert set(example) == {
            "sku", "aisle", SOURCE + "sku", SOURCE + "aisle", ITEM_ROW, TIME, REPEAT, WEIGHT,
        }  # fmt: skip
        assert int(sku_of[target][-3:]) == example[ITEM_ROW][0]
        for end, prefix in ((source, SOURCE), (target, "")):
            aisle = f"aisle-{int(sku_of[end][-3:]) % 6}"
            assert example[prefix + "aisle"] == (rows["aisle"][aisle],)
        assert example[WEIGHT] == (1.0,)


def test_time_and_repeat_are_of_the_targets_event(
    examples: dict[str, list[Example]], log: list
) -> None:
    times = {(int(event.sku[-3:]), event.time) for event in log}
    first = {event.sku: event.time for event in sorted(log, key=lambda e: e.time, reverse=True)}

    for part in EXAMPLE_PARTS:
        for example in examples[part]:
            assert (example[ITEM_ROW][0], example[TIME][0]) in times
            if example[TIME][0] == first[f"sku-{example[ITEM_ROW][0]:03d}"]:
                assert example[REPEAT] == (0,)
    assert {example[REPEAT] for example in examples[TRAIN]} == {(0,), (1,)}


def test_what_events_tell_of_items_comes_from_those_of_the_pair(busy: PreparedData) -> None:
    """A promotion, for example; the busy shop has no two events at one time."""
    spec = spec_of()
    items, weights = spec.of_role("item"), spec.of_role("weight")
    for part in EXAMPLE_PARTS:
        events = {event[TIME][0]: event for event in read_all_examples(busy.examples(part))}
        told = [{name: event[name] for name in items} for event in events.values()]
        found = read_all_examples(busy.pair_examples(part))
        assert found
        for pair in found:
            event = events[pair[TIME][0]]
            assert pair[ITEM_ROW] == event[ITEM_ROW]
            assert pair[REPEAT] == event[REPEAT]
            assert all(pair[name] == event[name] for name in [*items, *weights])
            assert {name: pair[SOURCE + name] for name in items} in told


def test_parts_and_target_counts_tell_what_the_files_hold(
    paired: PreparedData, examples: dict[str, list[Example]]
) -> None:
    for part in EXAMPLE_PARTS:
        files = read_example_files(paired.pair_examples(part))
        assert paired.parts[part].pairs == {name: len(found) for name, found in files.items()}
        assert len(files) == 2

        targets = Counter(example[ITEM_ROW][0] for example in examples[part])
        items = range(len(Catalogue(paired.catalogue)))
        assert paired.target_counts(part).tolist() == [targets[item] for item in items]


def test_batches_have_the_columns_that_a_model_of_pairs_asks_for(
    paired: PreparedData, spec: FeatureSpec
) -> None:
    files = paired.example_files(TRAIN, "pairs")

    read = read_shuffled(files.folder, files.files, spec, 16, seed=0, kind="pairs")
    batch = next(iter(read))

    assert set(batch) == {
        "sku", "aisle", SOURCE + "sku", SOURCE + "aisle", ITEM_ROW, TIME, REPEAT, WEIGHT,
    }  # fmt: skip
    assert all(column.shape == [16] for column in batch.values())
