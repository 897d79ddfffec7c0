import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from tfrec.embeddings.demand import Demand, counted_demand, zipf_demand
from tfrec.embeddings.dynamic_vocabulary import DynamicVocabulary
from tfrec.embeddings.groups import group_tables
from tfrec.embeddings.optimizers.config import OptimizerSettings
from tfrec.embeddings.planner import PROCESS_BYTES, Batch, Layout, Plan, plan_tables, readable
from tfrec.errors import UserError
from tfrec.features.plan import Dynamic, Table
from tfrec.features.spec import EvictByAge, EvictLeastUsed

LARGE, SMALL = 10_001, 100
TABLES = {"sku": Table(LARGE, 16), "shop": Table(SMALL, 4), "day": Table(8, 16)}
_SETTINGS: TypeAdapter[OptimizerSettings] = TypeAdapter(OptimizerSettings)


def optimizer(kind: str, **settings: float) -> OptimizerSettings:
    return _SETTINGS.validate_python({"kind": kind, **settings})


def cut(shape: tf.TensorShape, servers: int) -> Sequence[int]:
    return [servers if shape[0] >= 1000 else 1, 1]


def servers(number: int, memory: int = 10**12, shared: bool = False) -> Layout:
    return Layout("ps", number, cut, memory, shared)


def plan(
    tables: Mapping[str, Table] = TABLES,
    kind: str = "sgd",
    layout: Layout = servers(2),  # noqa: B008
    demands: Mapping[str, Demand] | None = None,
    batch: Batch = Batch(64),  # noqa: B008
    **settings: float,
) -> Plan:
    demands = demands or {
        name: zipf_demand(table.rows, 1, ordered=False) for name, table in tables.items()
    }
    return plan_tables(tables, lambda _: optimizer(kind, **settings), layout, demands, batch)


@pytest.mark.parametrize(
    ("kind", "floats"),
    [("sgd", 0), ("rowwise_adagrad", 1), ("adagrad", 16), ("lazy_adam", 32), ("ftrl", 32)],
)
def test_bytes_of_a_table_and_of_its_optimisers_state(kind: str, floats: int) -> None:
    (group,) = plan({"sku": Table(LARGE, 16)}, kind).groups

    assert group.table_bytes == LARGE * 16 * 4
    assert group.slot_bytes == LARGE * floats * 4


def test_lazy_weight_decay_takes_a_float_per_row() -> None:
    (group,) = plan({"sku": Table(LARGE, 16)}, "rowwise_adagrad", weight_decay=0.1).groups

    assert group.slot_bytes == LARGE * 2 * 4


def test_tables_of_one_width_are_cut_together_and_small_ones_take_turns() -> None:
    made = plan({**TABLES, "hour": Table(24, 2), "month": Table(12, 3)}, layout=servers(3))

    placed = {g.tables: [(s.process, s.rows) for s in g.shards] for g in made.groups}
    assert placed == {
        ("sku", "day"): [(0, 3337), (1, 3336), (2, 3336)],
        ("shop",): [(0, 100)],
        ("hour",): [(1, 24)],
        ("month",): [(2, 12)],
    }


def test_servers_hold_what_lies_on_them_and_twice_that_at_a_checkpoint() -> None:
    made = plan(kind="adagrad")

    large = [5005 * 16 * 2 * 4, 5004 * 16 * 2 * 4]
    held = [large[0] + SMALL * 4 * 2 * 4, large[1]]
    assert made.held_bytes == tuple(PROCESS_BYTES + own for own in held)
    assert made.peak_bytes == tuple(PROCESS_BYTES + 2 * own for own in held)
    assert made.whole_bytes == PROCESS_BYTES + 2 * 4 * (LARGE * 16 + SMALL * 4 + 8 * 16)


def test_every_process_and_every_device_of_one_holds_all_where_tables_are_not_cut() -> None:
    floats = LARGE * 16 + SMALL * 4 + 8 * 16

    alone = plan(layout=Layout("chief", 1, None, 10**12, True, copies=3))
    several = plan(layout=Layout("worker", 2, None, 10**12, True))

    assert alone.held_bytes == (PROCESS_BYTES + 3 * 4 * floats,)
    assert several.held_bytes == (PROCESS_BYTES + 4 * floats,) * 2
    assert several.limit_bytes == 10**12 // 2


@pytest.mark.parametrize(
    "evict",
    [
        None,
        EvictByAge(by="age", after=60),
        EvictLeastUsed(by="least_used"),
    ],
)
def test_vocabulary_takes_what_its_variables_do(evict: EvictByAge | EvictLeastUsed | None) -> None:
    table = Table(2**18 + 1, 8, 1, Dynamic(1, evict))
    layer = DynamicVocabulary(table)
    layer(tf.constant([1], tf.int64))
    real = sum(weight.dtype.size * math.prod(weight.shape) for weight in layer.weights)

    (group,) = plan({"sku": table}).groups

    assert group.vocabulary_bytes == pytest.approx(real, rel=0.001)


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_skew_and_bytes_on_the_wire_equal_a_count_of_single_rows(number: int) -> None:
    random = np.random.default_rng(number)
    lookups = {name: random.zipf(1.2, 3000) % table.rows for name, table in TABLES.items()}
    demands = {name: counted_demand(rows, 1000) for name, rows in lookups.items()}
    (group, *_) = group_tables(TABLES, lambda _: optimizer("sgd"))
    per_server = [0.0] * number
    for name in group.offsets:
        rows, counts = np.unique(lookups[name], return_counts=True)
        for row, count in zip(rows.tolist(), counts.tolist(), strict=True):
            asked = 1 - (1 - count / 3000) ** (64 * 3)
            place = (row + group.offsets[name]) * group.stride % group.rows
            ends = np.cumsum([len(part) for part in np.array_split(np.arange(group.rows), number)])
            server = next(i for i, end in enumerate(ends) if place < end)
            per_server[server] += asked * 2 * (8 + 4 * 16)

    planned = plan(demands=demands, layout=servers(number)).groups[0]

    np.testing.assert_allclose(planned.wire_bytes, per_server)
    assert planned.skew == pytest.approx(max(per_server) / (sum(per_server) / number))
    assert planned.rows_per_step == pytest.approx(sum(per_server) / (2 * (8 + 4 * 16)))


def test_parts_of_a_batch_fetch_rows_of_their_own_and_send_gradients_together() -> None:
    demands = {"sku": counted_demand(np.arange(LARGE) % 50, LARGE)}

    (group,) = plan({"sku": Table(LARGE, 16)}, demands=demands, batch=Batch(64, 4)).groups

    fetched = 4 * demands["sku"].distinct(16).sum()
    sent = demands["sku"].distinct(64).sum()
    assert sum(group.wire_bytes) == pytest.approx((fetched + sent) * (8 + 4 * 16))


def test_workers_in_step_send_their_gradients_to_each_other_and_one_process_none() -> None:
    demands = {"sku": counted_demand(np.arange(LARGE) % 50, LARGE)}
    table = {"sku": Table(LARGE, 16)}

    together = plan(table, layout=Layout("worker", 3, None, 10**12, True), demands=demands)
    alone = plan(table, layout=Layout("chief", 1, None, 10**12, True), demands=demands)

    rows = demands["sku"].distinct(64).sum()
    np.testing.assert_allclose(together.wire_bytes, [2 * rows * (8 + 4 * 16)] * 3)
    assert alone.wire_bytes == (0,)
    assert alone.skew == 1


def test_rows_in_order_of_demand_are_spread_over_the_servers() -> None:
    demands = {"sku": zipf_demand(LARGE, 10, ordered=True)}

    made = plan({"sku": Table(LARGE, 16)}, layout=servers(8), demands=demands)

    per_shard = np.add.reduceat(demands["sku"].distinct(64), np.arange(8) * LARGE // 8)
    assert per_shard.max() / per_shard.mean() > 3  # as they would lie without scattering
    assert made.skew < 1.1


def test_tables_of_which_nobody_counted_are_named() -> None:
    demands = {
        "sku": zipf_demand(LARGE, 1, ordered=False),
        "shop": counted_demand(np.array([1]), 1),
        "day": counted_demand(np.array([1]), 1),
    }

    assert [group.assumed for group in plan(demands=demands).groups] == [("sku",), ()]


BIG = {"shopper": Table(1_000_000, 64), "sku": Table(1000, 64)}
ALL = 1_001_000 * 64 * 4


def fits(made: Plan) -> bool:
    return max(made.peak_bytes) <= made.limit_bytes


def test_plan_that_fits_has_no_problem() -> None:
    made = plan(BIG, layout=servers(2, PROCESS_BYTES + ALL))

    assert made.problem is None
    assert fits(made)


def test_plan_that_does_not_fit_says_by_how_much_and_how_many_servers_would() -> None:
    limit = PROCESS_BYTES + ALL // 3

    made = plan(BIG, layout=servers(2, limit))

    assert made.problem == (
        f"training: ps-0 would take {readable(PROCESS_BYTES + ALL)} while a checkpoint is written "
        f"or restored, and {readable(PROCESS_BYTES + ALL // 2)} otherwise: more than the "
        f"{readable(limit)} of training.memory_per_server; training.parameter_servers: 7 or "
        "features.shopper.embedding: 21 would fit"
    )


def test_remedies_fit_and_one_step_less_does_not() -> None:
    layout = servers(2, PROCESS_BYTES + ALL // 3)

    assert fits(plan(BIG, layout=replace(layout, processes=7)))
    assert not fits(plan(BIG, layout=replace(layout, processes=6)))
    assert fits(plan({**BIG, "shopper": Table(1_000_000, 21)}, layout=layout))
    assert not fits(plan({**BIG, "shopper": Table(1_000_000, 22)}, layout=layout))


def test_smaller_optimiser_is_offered_where_it_fits() -> None:
    layout = servers(1, PROCESS_BYTES + 3 * ALL, shared=True)

    made = plan(BIG, "lazy_adam", layout)

    assert fits(plan(BIG, "rowwise_adagrad", layout))
    assert made.problem is not None
    assert "of this machine's memory; rowwise_adagrad for all tables" in made.problem
    assert "parameter_servers" not in made.problem  # they would share the same memory


def test_no_other_width_or_optimiser_is_offered_for_a_table_that_has_its_own() -> None:
    tables, own = {**BIG, "own": Table(8_000_000, 16)}, {"own": optimizer("lazy_adam")}
    demands = {name: zipf_demand(table.rows, 1, ordered=False) for name, table in tables.items()}
    layout = servers(1, PROCESS_BYTES + 8 * ALL)

    def made(fixed: dict[str, OptimizerSettings]) -> str:
        def optimizer_of(name: str) -> OptimizerSettings:
            return own.get(name, optimizer("sgd"))

        problem = plan_tables(tables, optimizer_of, layout, demands, Batch(64), fixed).problem
        assert problem is not None
        return problem

    assert "features.own.embedding" in made({})
    assert "rowwise_adagrad" in made({})
    assert made(own).endswith("training.memory_per_server; training.parameter_servers: 2 would fit")


def test_nothing_that_fits_asks_for_fewer_rows() -> None:
    made = plan(BIG, layout=servers(2, PROCESS_BYTES))

    assert made.problem is not None
    assert made.problem.endswith("training.memory_per_server; give tables fewer rows")


def test_table_without_rows_is_refused() -> None:
    with pytest.raises(UserError, match=r"features\.sku: its table has 0 rows; give at least 1"):
        plan({"sku": Table(0, 16)}, demands={"sku": counted_demand(np.array([0]), 1)})
