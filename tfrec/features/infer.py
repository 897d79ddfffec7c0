"""Raw columns -> a proposal for the `features` section, with a reason for each line."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from tfrec.config import validate
from tfrec.features.spec import FeatureSpec, Role
from tfrec.features.statistics import Facts, flat

FEW_VALUES = 50
"""Whole numbers of so few values are taken for names of categories."""

MOST_VOCABULARY_ROWS = 1_000_000
"""A column of more values is hashed: a vocabulary would have to be kept in memory and shipped."""

_LARGEST_EMBEDDING = 64
_TEXT_ROWS = (1 << 10, 1 << 18)


@dataclass(frozen=True)
class Proposal:
    """What to say of a column.

    Attributes:
      content: the feature as a config says it; None to leave the column out.
      reason: why, in a few words.
    """

    content: Mapping[str, Any] | None
    reason: str


def embedding_size(values: int) -> int:
    """Proposes how wide to embed a column: 6 times the fourth root of its number of values.

    Args:
      values: how many different ones.

    Returns:
      A multiple of 4, from 4 to 64.

    Source: Wang et al., Deep & Cross Network for Ad Click Predictions, ADKDD 2017, section 4.1.
    """
    return min(max(round(6 * values**0.25 / 4), 1) * 4, _LARGEST_EMBEDDING)


def propose(
    name: str, role: Role, column: pa.Array, facts: Facts, separator: str | None = None
) -> Proposal:
    """Proposes a kind for a column.

    - Lists of numbers that are all equally long are vectors, other lists several categories.
    - Numbers are numeric: by their logarithm where they are skewed, which is where none is negative
      and the deviation is above the mean. Whole numbers are categories where `names_id` says so, or
      there are at most `FEW_VALUES`.
    - Strings are text where they have two words or more on average and most occur once, and
      categories otherwise.
    - A column without values, or of a single one, or of strings that all differ is left out.

    Args:
      name: the column's name.
      role: the feature's role.
      column: `[rows]` strings, numbers, or lists of them; null where nothing is.
      facts: what is known of it.
      separator: what splits the column's text into its lists.

    Returns:
      The proposal.
    """
    written = {} if separator is None else {"separator": separator}
    if facts.distinct <= 1:
        return Proposal(None, "a single value" if facts.distinct else "no value at all")
    if role in ("label", "weight", "time"):
        return Proposal({"role": role, "kind": "numeric"}, _seen(facts))
    if pa.types.is_list(column.type):
        if pa.types.is_floating(column.type.value_type):
            vector = {"role": role, "kind": "vector", "dim": facts.longest, **written}
            return Proposal(vector, f"{facts.longest} numbers in each row{_missing(facts)}")
        several = {**_lookup("multi_categorical", role, facts.distinct), **written}
        return Proposal(several, _seen(facts))
    if not pa.types.is_string(column.type):
        if _is_category(name, column, facts):
            return Proposal(_lookup("categorical", role, facts.distinct), _seen(facts))
        return _number(role, facts)
    if facts.words >= 2 and facts.once >= 0.5:
        return _text(role, column, facts)
    if facts.once == 1:
        return Proposal(None, "every value is another one, as an id's")
    return Proposal(_lookup("categorical", role, facts.distinct), _seen(facts))


def propose_id(role: Role, distinct: int) -> Proposal:
    """Proposes how to look up the shopper's or the item's id, of which there are `distinct`."""
    return Proposal(_lookup("categorical", role, distinct), f"{distinct:,} values")


def names_id(name: str) -> bool:
    """Whether a column's name says that its numbers are an id: `id`, `store_id`, `storeId`."""
    return re.search(r"^id$|_id$|[a-z](Id|ID)$", name) is not None


def write_section(proposals: Mapping[str, Proposal], heading: Sequence[str]) -> str:
    """Writes proposals as YAML, each with its reason beside it.

    Args:
      proposals: column -> proposal, in the order to write them.
      heading: lines of comment to put first.

    Returns:
      A `features` section that is valid.

    Raises:
      UserError: if the features do not make a spec, e.g. since none describes the item.
    """
    features = {name: dict(p.content) for name, p in proposals.items() if p.content is not None}
    validate(FeatureSpec, features, "features")
    lines = [f"# {line}" for line in heading] + ["features:"]
    lines += [f"  {_entry(name, features[name])}  # {proposals[name].reason}" for name in features]
    left_out = [(name, p.reason) for name, p in proposals.items() if p.content is None]
    lines += [f"  # {name}: left out: {reason}" for name, reason in left_out]
    return "\n".join(lines) + "\n"


def _entry(name: str, content: Mapping[str, Any]) -> str:
    flow = yaml.safe_dump(
        {name: dict(content)},
        default_flow_style=True,
        sort_keys=False,
        width=math.inf,
        allow_unicode=True,
    )
    return flow.strip()[1:-1]


def _is_category(name: str, numbers: pa.Array, facts: Facts) -> bool:
    """Whether numbers name something rather than measure it."""
    whole = pc.all(pc.equal(pc.floor(numbers), numbers)).as_py()
    return whole and (names_id(name) or facts.distinct <= FEW_VALUES)


def _lookup(kind: str, role: Role, distinct: int) -> dict[str, Any]:
    content = {"role": role, "kind": kind, "embedding": embedding_size(distinct)}
    if distinct > MOST_VOCABULARY_ROWS:
        content |= {"lookup": "hash", "rows": _power_of_two(distinct)}
    return content


def _number(role: Role, facts: Facts) -> Proposal:
    content: dict[str, Any] = {"role": role, "kind": "numeric"}
    span = f"{facts.least:g} to {facts.most:g}, mean {facts.mean:g}{_missing(facts)}"
    if facts.least >= 0 and facts.deviation > facts.mean:
        content |= {"transform": "log", "min": 0}
        span = f"skewed: deviation {facts.deviation:g}; {span}"
    return Proposal(content, span)


def _text(role: Role, column: pa.Array, facts: Facts) -> Proposal:
    words = pc.utf8_split_whitespace(pc.utf8_lower(flat(column)))
    # Pairs of words are hashed into the same table: some three for each word.
    rows = 4 * pc.count_distinct(words.flatten()).as_py()
    least, most = _TEXT_ROWS
    rows = min(max(_power_of_two(rows), least), most)
    content = {"role": role, "kind": "text", "embedding": embedding_size(rows), "rows": rows}
    return Proposal(content, f"{facts.words:.1f} words on average; {_seen(facts)}")


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _seen(facts: Facts) -> str:
    return f"{facts.distinct:,} values{_missing(facts)}"


def _missing(facts: Facts) -> str:
    return f", {facts.missing:.1%} missing" if facts.missing else ""
