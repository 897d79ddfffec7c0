"""Whether a shop's data hold what the `features` section says."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.casting import cast_feature, raw_type
from tfrec.data.columns import Place, find_columns
from tfrec.data.config import DataConfig, Items, Log, Promotions
from tfrec.data.sample import read_sample
from tfrec.data.sources import column_types, find_files
from tfrec.features import FeatureSpec
from tfrec.features.check import Finding, check_columns


class Checked(NamedTuple):
    """A feature's place in the data, and what was found there; nothing where it is computed."""

    place: Place
    finding: Finding | None


def check_features(spec: FeatureSpec, config: DataConfig, rows: int | None) -> dict[str, Checked]:
    """Reads the columns of all features and compares them with what the spec says.

    Args:
      spec: the features.
      config: the `data` section.
      rows: how many rows to read of each log, the catalogue and the promotions; None for all.

    Returns:
      Feature -> what was found, in the order of the config; sequences have no column.

    Raises:
      UserError: one line for each source or column that is not there.
    """
    logs = [_Source.find(field, log) for field, log in _logs(config)]
    catalogue = _Source.find("data.items", config.items)
    promotions = config.promotions and _Source.find("data.promotions", config.promotions)
    columns = find_columns(
        spec,
        config,
        [log.types for log in logs],
        catalogue.types,
        promotions.types if promotions else (),
    )
    findings = _check(spec, columns.at("user", "item", "event"), logs, config, rows)
    findings |= _check(spec, columns.at("catalogue"), [catalogue], config, rows)
    if promotions:
        findings |= _check(spec, columns.at("promotion"), [promotions], config, rows)
    return {name: Checked(place, findings.get(name)) for name, place in columns.places.items()}


class _Source(NamedTuple):
    """The files of one section of the config.

    Attributes:
      section: the section.
      files: their paths.
      types: their columns.
    """

    section: Log | Items | Promotions
    files: list[str]
    types: Mapping[str, pa.DataType]

    @classmethod
    def find(cls, field: str, section: Log | Items | Promotions) -> "_Source":
        files = find_files(f"{field}.source", section.source)
        return cls(section, files, column_types(f"{field}.source", files))

    @property
    def moments(self) -> tuple[str, str | None]:
        """Unit and format of moments."""
        return self.section.unit, self.section.format

    def column_of(self, name: str, config: DataConfig) -> str | None:
        """The column of a feature; None if there is none."""
        if isinstance(self.section, Log) and name in (config.user, config.item):
            return self.section.user if name == config.user else self.section.item
        column = self.section.columns.get(name, name)
        return column if column in self.types else None


def _logs(config: DataConfig) -> Iterator[tuple[str, Log]]:
    for number, log in enumerate(config.events):
        yield ("data.events" if len(config.events) == 1 else f"data.events.{number}"), log


def _check(
    spec: FeatureSpec,
    names: Sequence[str],
    sources: Sequence[_Source],
    config: DataConfig,
    rows: int | None,
) -> dict[str, Finding]:
    """Checks features whose columns stand in the same sources, their rows one below the other."""
    rejected: dict[str, Counter[str]] = {name: Counter() for name in names}
    parts: dict[str, list[pa.Array]] = {name: [] for name in names}
    for source in sources:
        columns = {name: column for name in names if (column := source.column_of(name, config))}
        if not columns:
            continue
        table = read_sample(source.files, list(dict.fromkeys(columns.values())), rows)
        for name in names:
            if name not in columns:
                parts[name].append(pa.nulls(len(table), raw_type(spec[name])))
                continue
            column = table[columns[name]].combine_chunks()
            unit, form = source.moments
            values, faults = cast_feature(name, spec[name], column, unit, form)
            parts[name].append(values)
            for reason, mask in faults.items():
                rejected[name][reason.removeprefix(f"{name}: ")] += pc.sum(mask).as_py() or 0
    if not any(parts.values()):
        return {}
    joined = {name: pa.concat_arrays(arrays) for name, arrays in parts.items()}
    found = {name: +counts for name, counts in rejected.items()}
    return check_columns(spec, joined, found, config.max_reject_share)
