"""Parts of the shoppers, or of what is relevant, that are measured on their own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.query_set import QuerySet
from tfrec.errors import UserError
from tfrec.evaluation.config import Protocol, SliceConfig

_MOST_VALUES = 100


@dataclass(frozen=True)
class Slice:
    """A part to measure.

    Attributes:
      name: of the part.
      shoppers: `[shoppers]` bool, who is in it; none for everybody.
      items: `[items]` bool, what counts as relevant; none for everything.
    """

    name: str
    shoppers: np.ndarray | None = None
    items: np.ndarray | None = None


def make_slices(
    configs: Sequence[SliceConfig], queries: QuerySet, counts: np.ndarray
) -> list[Slice]:
    """Makes the slices that a config asks for.

    Args:
      configs: the `evaluation.slices`.
      queries: the shoppers of the window.
      counts: `[items]` training events of each item.

    Returns:
      The slices, one or several for each config, in its order.

    Raises:
      UserError: if a feature is none of the queries', or cannot be cut.
    """
    return [part for config in configs for part in _make(config, queries, counts)]


def slice_columns(
    configs: Sequence[SliceConfig], queries: QuerySet, counts: np.ndarray
) -> dict[str, np.ndarray]:
    """Says of every shopper which slice they are in.

    Args:
      configs: the `evaluation.slices`; those by items, which cut no shoppers, are left out.
      queries: the shoppers of the window.
      counts: `[items]` training events of each item.

    Returns:
      Name of a config -> `[shoppers]` names of slices, empty for who is in none.

    Raises:
      UserError: as `make_slices`.
    """
    columns = {}
    for config in configs:
        names = np.full(len(queries), "", object)
        parts = list(_make(config, queries, counts))
        for part in parts:
            names[part.shoppers] = part.name
        if all(part.items is None for part in parts):
            columns[str(config)] = names
    return columns


def slice_names(protocol: Protocol, queries: QuerySet, counts: np.ndarray) -> list[str]:
    """What is measured, by name: all shoppers of each ranking, and the slices below it."""
    parts = [part.name for part in make_slices(protocol.slices, queries, counts)]
    rankings = protocol.rankings
    return [*rankings, *(f"{ranking}/{part}" for ranking in rankings for part in parts)]


def _make(config: SliceConfig, queries: QuerySet, counts: np.ndarray) -> Iterator[Slice]:
    if config.cold_items is not None:
        yield Slice(f"cold_items<{config.cold_items}", items=counts < config.cold_items)
    elif config.cold_users is not None:
        events = np.bincount(queries.seen[0], minlength=len(queries))
        yield Slice(f"cold_users<{config.cold_users}", shoppers=events < config.cold_users)
    elif config.quantiles is not None:
        yield from _by_quantile(_feature(config, queries), config)
    else:
        yield from _by_value(_feature(config, queries), config)


def _feature(config: SliceConfig, queries: QuerySet) -> pa.Array:
    if config.feature not in queries.features:
        known = ", ".join(queries.features) or "none"
        raise UserError(
            f"evaluation.slices: {config.feature!r} is no raw feature of a query; known: {known}"
        )
    column = queries.table[config.feature].combine_chunks()
    if pa.types.is_nested(column.type):
        raise UserError(
            f"evaluation.slices: {config.feature} holds lists, which cannot be cut into slices; "
            "name a feature with one value"
        )
    return column


def _by_value(column: pa.Array, config: SliceConfig) -> Iterator[Slice]:
    """One slice for each value, the most frequent first; a missing value is one too."""
    found = column.value_counts()
    if len(found) > _MOST_VALUES:
        raise UserError(
            f"evaluation.slices: {config.feature} has {len(found):,} values, more than "
            f"{_MOST_VALUES}; give quantiles, or another feature"
        )
    order = np.argsort(-found.field("counts").to_numpy(), kind="stable")
    for value in found.field("values").take(pa.array(order)):
        name = str(value.as_py()) if value.is_valid else "missing"
        chosen = pc.equal(column, value).fill_null(False) if value.is_valid else column.is_null()
        yield Slice(f"{config.feature}={name}", shoppers=chosen.to_numpy(zero_copy_only=False))


def _by_quantile(column: pa.Array, config: SliceConfig) -> Iterator[Slice]:
    """Slices between quantiles, each with its upper end, but for those that are empty."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise UserError(
            f"evaluation.slices: {config.feature} holds {kind}, which has no quantiles; "
            "leave them out for a slice of each value"
        )
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    missing = np.isnan(values)
    if not missing.all():
        assert config.quantiles is not None
        shares = np.arange(1, config.quantiles + 1) / config.quantiles
        highs = np.unique(np.quantile(values[~missing], shares, method="inverted_cdf"))
        lows = np.append(values[~missing].min(), highs[:-1])
        for place, (low, high) in enumerate(zip(lows, highs, strict=True)):
            above = values >= low if place == 0 else values > low
            opening = "[" if place == 0 else "("
            name = f"{config.feature} in {opening}{low:g}, {high:g}]"
            yield Slice(name, shoppers=above & (values <= high))
    if missing.any():
        yield Slice(f"{config.feature}=missing", shoppers=missing)
