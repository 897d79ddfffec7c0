from pathlib import Path

import pytest
from busy_shop import spec_of

from tfrec.data.catalogue import Catalogue
from tfrec.data.events import USER
from tfrec.data.prepared import TEST, VALIDATION, PreparedData
from tfrec.data.queries import RELEVANT, SEEN
from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.features.signature import raw_inputs


@pytest.mark.parametrize("part", [VALIDATION, TEST])
def test_query_looks_for_all_that_followed_its_item_in_the_part(
    part: str, paired: PreparedData, bought_after: dict[str, list[list[tuple]]]
) -> None:
    expected: dict[str, set[int]] = {}
    for session in bought_after[part]:
        for source, target in session:
            expected.setdefault(source.sku, set()).add(int(target.sku[-3:]))

    queries = QuerySet.read(paired.queries(part, "items")).table.to_pylist()

    assert {query[USER]: query[RELEVANT] for query in queries} == {
        sku: sorted(targets) for sku, targets in expected.items()
    }
    for query in queries:
        row = int(query[USER][-3:])
        assert query[SEEN] == [row]
        assert query["sku"] == query[USER]
        assert query["aisle"] == f"aisle-{row % 6}"


def test_queries_to_try_things_on_are_of_validation(paired: PreparedData) -> None:
    queries = QuerySet.read_held_out(paired, "items")

    assert queries.users == QuerySet.read(paired.queries(VALIDATION, "items")).users


def test_features_of_every_kind_can_be_sent(busy: PreparedData) -> None:
    spec = spec_of()

    queries = QuerySet.read(busy.queries(TEST, "items"))

    names = spec.of_role("item")
    sent = queries.inputs(names)
    for name, asked in raw_inputs(spec, names).items():
        assert sent[name].ndim == asked.shape.rank
        assert asked.shape[1:].is_compatible_with(sent[name].shape[1:])
    catalogue = Catalogue(busy.catalogue)
    first = queries.table.slice(0, 1).to_pylist()[0]
    (row,) = catalogue.rows([first[USER]])
    told = catalogue.features(row)
    assert {name: first[name] for name in told if told[name] is not None} == {
        name: value for name, value in told.items() if value is not None
    }


def test_part_in_which_nothing_goes_together_is_refused(tmp_path: Path) -> None:
    data = PreparedData(tmp_path)
    data.queries(TEST, "items").mkdir(parents=True)

    with pytest.raises(UserError, match=r"^data\.split\.test: no event is in this window; "):
        QuerySet.read(data.queries(TEST, "items"))
