"""Casting raw columns of any type; a value that cannot be cast is a fault of its row, no error."""

import contextlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Faults = dict[str, pa.BooleanArray]
"""Reason -> `[rows]` mask of the rows it applies to, without nulls; only reasons that occur."""

LONGEST_BYTES = 1_024

_NUMBER = r"(?i)^-?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|inf|infinity)$"


def to_strings(column: pa.Array) -> tuple[pa.StringArray, Faults]:
    """Casts ids and categories to strings.

    Whole numbers are written without a fraction (123.0 as 123), times as ISO 8601.

    Args:
      column: `[rows]` of any plain type, or of lists of at most one value.

    Returns:
      `[rows]` strings; null where the value is null, NaN, empty or has a fault.
    """
    values, faults = scalars(column)
    texts, wrong = to_texts(values)
    too_long = pc.greater(pc.binary_length(texts), LONGEST_BYTES)
    texts = pc.if_else(too_long, None, texts)
    faults |= wrong | fault(f"longer than {LONGEST_BYTES:,} bytes", too_long)
    return pc.if_else(pc.equal(texts, ""), None, texts), faults


def to_floats(column: pa.Array) -> tuple[pa.Array, Faults]:
    """Casts numbers, and text that writes a number, to float32.

    Args:
      column: `[rows]` of any plain type, or of lists of at most one value.

    Returns:
      `[rows]` finite float32; null where the value is null, empty or has a fault.
    """
    values, faults = scalars(column)
    numbers, wrong = to_doubles(values)
    rounded = numbers.cast(pa.float32(), safe=False)
    is_finite = pc.is_finite(rounded)
    faults |= wrong | fault("not finite", pc.invert(is_finite))
    return pc.if_else(is_finite, rounded, None), faults


def to_lists(column: pa.Array, separator: str | None) -> tuple[pa.ListArray, Faults]:
    """Casts to lists of strings, each as `to_strings` makes it.

    Args:
      column: `[rows]` lists, text or other values; a value is a list of one.
      separator: cuts text into the members of a list, without the spaces around them.

    Returns:
      `[rows]` lists of strings without null, empty or faulty members; null where the row is null
      or empty text.
    """
    lists, faults = _as_lists(column, separator)
    members, wrong = to_strings(lists.flatten())
    faults |= {reason: _of_rows(mask, lists) for reason, mask in wrong.items()}
    return _lists(_sums(members.is_valid(), lists), members.drop_null(), lists.is_null()), faults


def to_vectors(column: pa.Array, dim: int, separator: str | None) -> tuple[pa.ListArray, Faults]:
    """Casts to lists of float32 of one length.

    Args:
      column: `[rows]` lists of numbers, or text.
      dim: the length of each list.
      separator: what stands between the numbers in text.

    Returns:
      `[rows]` lists of `dim` finite float32; null where the row is null, empty text or has a fault.
    """
    lists, faults = _as_lists(column, separator)
    numbers, wrong = to_floats(lists.flatten())
    wrong |= fault("missing value in a vector", _nowhere(numbers.is_null(), wrong))
    faults |= {reason: _of_rows(mask, lists) for reason, mask in wrong.items()}
    lengths = pc.list_value_length(lists)
    faults |= fault(f"not of {dim} values", pc.not_equal(lengths, dim))
    good = _nowhere(lists.is_valid(), faults)
    kept = np.where(good, lengths.fill_null(0), 0)
    members = pa.array(np.repeat(good, lengths.fill_null(0)))
    return _lists(kept, numbers.filter(members), pc.invert(good)), faults


def scalars(column: pa.Array) -> tuple[pa.Array, Faults]:
    """Takes lists of at most one value as values, and dictionaries as what they stand for."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_list(column.type):
        return column, {}
    lengths = _lengths(column)
    starts = np.cumsum(lengths) - lengths
    places = pa.array(starts, pa.int64(), mask=lengths != 1)
    values, faults = scalars(column.flatten().take(places))
    return values, faults | fault("more than one value", pa.array(lengths > 1))


def to_texts(values: pa.Array) -> tuple[pa.StringArray, Faults]:
    """Writes plain values as text; null where that is impossible."""
    kind = values.type
    if is_text(kind):
        return _decode(values)
    if pa.types.is_floating(kind):
        return _write_floats(values)
    if pa.types.is_decimal(kind):
        return _write_decimals(values), {}
    try:
        texts = values.cast(pa.string())
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(values), pa.string()), fault("not a plain value", values.is_valid())
    if pa.types.is_temporal(kind):
        texts = pc.replace_substring_regex(texts, r"\.0+(\D|$)", r"\1")
    return texts, {}


def to_doubles(values: pa.Array) -> tuple[pa.Array, Faults]:
    """Casts plain values to float64, which may not be finite; null where that is impossible."""
    if is_text(values.type):
        return _parse_doubles(values)
    if pa.types.is_float16(values.type):
        values = _widen(values)
    try:
        if not pa.types.is_temporal(values.type):
            return values.cast(pa.float64(), safe=False), {}
    except pa.ArrowNotImplementedError:
        pass
    return pa.nulls(len(values), pa.float64()), fault("not a number", values.is_valid())


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds strings or bytes."""
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def fault(reason: str, mask: pa.BooleanArray) -> Faults:
    """One fault, if it occurs; null in the mask is no fault."""
    mask = mask.fill_null(False)
    return {reason: mask} if pc.any(mask).as_py() else {}


def _decode(values: pa.Array) -> tuple[pa.StringArray, Faults]:
    content = values.cast(pa.binary())
    try:
        return content.cast(pa.string()), {}
    except pa.ArrowInvalid:
        texts = pa.array(map(_decode_one, content.to_pylist()), pa.string())
        return texts, fault("invalid UTF-8", pc.and_(values.is_valid(), texts.is_null()))


def _decode_one(content: bytes | None) -> str | None:
    with contextlib.suppress(UnicodeDecodeError):
        return None if content is None else content.decode()
    return None


def _write_floats(values: pa.Array) -> tuple[pa.StringArray, Faults]:
    if pa.types.is_float16(values.type):
        values = _widen(values)
    is_whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**63))
    whole = pc.if_else(is_whole, values, None).cast(pa.int64(), safe=False)
    texts = pc.if_else(is_whole, whole.cast(pa.string()), values.cast(pa.string()))
    faults = fault("not finite", pc.is_inf(values))
    return pc.if_else(pc.is_finite(values), texts, None), faults


def _write_decimals(values: pa.Array) -> pa.StringArray:
    try:
        return values.cast(pa.int64()).cast(pa.string())
    except pa.ArrowInvalid:
        # Fractions or more than 18 digits, which Arrow cannot write.
        texts = ["" if value is None else f"{value:f}" for value in values.to_pylist()]
        return pc.replace_substring_regex(pa.array(texts), r"\.0+$", "")


def _parse_doubles(values: pa.Array) -> tuple[pa.Array, Faults]:
    texts, faults = to_texts(values)
    texts = pc.utf8_trim_whitespace(texts)
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    try:
        return texts.cast(pa.float64()), faults
    except pa.ArrowInvalid:
        texts = pc.replace_substring_regex(texts, r"^\+", "")
        is_number = pc.match_substring_regex(texts, _NUMBER)
        numbers = pc.if_else(is_number, texts, None).cast(pa.float64())
        return numbers, faults | fault("not a number", pc.invert(is_number))


def _widen(values: pa.Array) -> pa.Array:
    """Arrow computes nothing with float16."""
    numbers = values.to_numpy(zero_copy_only=False).astype(np.float32)
    return pa.array(numbers, mask=values.is_null().to_numpy(zero_copy_only=False))


def _is_list(kind: pa.DataType) -> bool:
    return (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _as_lists(column: pa.Array, separator: str | None) -> tuple[pa.Array, Faults]:
    """Makes each value a list, and the members of divided text lists; empty text is null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_list(column.type):
        return column, {}
    faults: Faults = {}
    if is_text(column.type):
        column, faults = to_texts(column)
        column = pc.if_else(pc.equal(column, ""), None, column)
        if separator:
            lists = pc.split_pattern(column, separator)
            if isinstance(lists, pa.ChunkedArray):
                lists = pa.concat_arrays(lists.chunks)
            members = pc.utf8_trim_whitespace(lists.flatten())
            return _lists(_lengths(lists), members, lists.is_null()), faults
    return _lists(_numpy(column.is_valid()), column.drop_null(), column.is_null()), faults


def _lists(lengths: np.ndarray, members: pa.Array, is_null: pa.BooleanArray) -> pa.ListArray:
    offsets = np.r_[0, np.cumsum(lengths)]
    is_missing = np.r_[_numpy(is_null), False]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32(), mask=is_missing), members)


def _lengths(lists: pa.Array) -> np.ndarray:
    """How many of `lists.flatten()` belong to each row."""
    return pc.list_value_length(lists).fill_null(0).to_numpy()


def _sums(mask: pa.BooleanArray, lists: pa.Array) -> np.ndarray:
    """Counts each row's members for which a mask of members holds."""
    ends = np.cumsum(_lengths(lists))
    sums = np.r_[0, np.cumsum(_numpy(mask))]
    return np.diff(sums[ends], prepend=0)


def _of_rows(mask: pa.BooleanArray, lists: pa.Array) -> pa.BooleanArray:
    """Mask of members -> mask of the rows with such a member."""
    return pa.array(_sums(mask, lists) > 0)


def _nowhere(mask: pa.BooleanArray, faults: Faults) -> pa.BooleanArray:
    """Takes the rows that have a fault out of a mask."""
    for fault in faults.values():
        mask = pc.and_not(mask, fault)
    return mask


def _numpy(mask: pa.BooleanArray) -> np.ndarray:
    return mask.to_numpy(zero_copy_only=False)
