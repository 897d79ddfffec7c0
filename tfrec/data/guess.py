"""What a raw column of a file of any kind holds: names, numbers, moments, or lists of them."""

from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.times import to_seconds
from tfrec.data.values import scalars, to_doubles, to_lists, to_strings, to_vectors

_LIST_SEPARATORS = ("|", ";", ",")
_NUMBER_SEPARATORS = (*_LIST_SEPARATORS, " ")
_SHORTEST_VECTOR = 4


class Guess(NamedTuple):
    """What a column holds.

    Attributes:
      values: `[rows]` strings, float64, lists of strings or lists of float32, null where nothing
        is; None for what no feature can be made of.
      separator: what splits the column's text into lists.
      reason: why no feature can be made of it.
    """

    values: pa.Array | None
    separator: str | None = None
    reason: str = ""


def guess(column: pa.Array) -> Guess:
    """Finds out what a column holds.

    - Text is a number or a moment where all of it reads as one; numbers with a leading zero, as
      postcodes have, stay text.
    - Text is a vector where `|`, `;`, `,` or a blank splits each row into as many numbers, at least
      four; it is a list where one of the first three splits it into values of which there are not
      even half as many different ones as before.
    - Lists of at most one value, as all columns of TFRecords may be, are what that value is.
    - Lists of fractions that are equally long are vectors; any other list is one of names.

    Args:
      column: `[rows]` of any type.

    Returns:
      The column as the type it should have.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return guess(column.cast(kind.value_type))
    if pa.types.is_temporal(kind):
        return Guess(None, reason="a moment")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _guess_list(column)
    if pa.types.is_nested(kind):
        return _nested(kind)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return Guess(_finite(to_doubles(column)[0]))
    return _guess_text(to_strings(column)[0])


def _guess_text(strings: pa.Array) -> Guess:
    numbers, faults = to_doubles(strings)
    if strings.null_count == len(strings):
        return Guess(strings)
    if not faults and not pc.any(pc.match_substring_regex(strings, r"^\s*0\d+\s*$")).as_py():
        return Guess(_finite(numbers))
    if faults and not to_seconds(strings, "s", None)[1]:
        return Guess(None, reason="a moment")
    return _split(strings) or Guess(strings)


def _split(strings: pa.Array) -> Guess | None:
    present = strings.drop_null()
    for separator in _NUMBER_SEPARATORS:
        length = present[0].as_py().count(separator) + 1
        if length >= _SHORTEST_VECTOR:
            vectors, faults = to_vectors(strings, length, separator)
            if not faults:
                return Guess(vectors, separator)
    distinct = pc.count_distinct(present).as_py()
    for separator in _LIST_SEPARATORS:
        lists, _ = to_lists(strings, separator)
        parts = lists.flatten()
        if len(parts) > len(present) and 2 * pc.count_distinct(parts).as_py() < distinct:
            return Guess(lists, separator)
    return None


def _guess_list(column: pa.Array) -> Guess:
    inner = column.type.value_type
    if pa.types.is_nested(inner):
        return _nested(column.type)
    longest = pc.max(pc.list_value_length(column)).as_py() or 0
    if longest <= 1:
        return guess(scalars(column)[0])
    if pa.types.is_floating(inner):
        vectors, faults = to_vectors(column, longest, None)
        if not faults:
            return Guess(vectors)
    return Guess(to_lists(column, None)[0])


def _nested(kind: pa.DataType) -> Guess:
    return Guess(None, reason=f"values of type {kind}, of which no feature can be made")


def _finite(numbers: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_finite(numbers), numbers, None)
