"""Which coupon or offer to show to whom."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from tfrec.config import Section
from tfrec.data.catalogue import Catalogue
from tfrec.data.config import Source
from tfrec.data.sources import BadRow, column_types, find_files, read_rows
from tfrec.data.values import to_strings
from tfrec.errors import UserError
from tfrec.service.flow.state import NOTHING, Found, State

_FIELD = "service.promotions"
_PAIRS = ("user", "campaign", "uplift", "to_send")
_MOST_ITEMS = 1000


class PromotionsConfig(Section):
    """Offers, and what they change.

    Attributes:
      pairs: table of `tfrec uplift`: whom which campaign is to be sent to within the budget, and by
        how much it changes what they do.
      source: table of the items of each campaign, as in the `data` section.
      campaign: its column of the campaign.
      item: its column of the item.
      coupon: its column of the coupon's id.
    """

    pairs: Path
    source: Source
    campaign: str
    item: str
    coupon: str


@dataclass(frozen=True)
class Offers:
    """Offers by shopper.

    Attributes:
      campaigns: shopper -> campaigns that are to be shown, with what each changes, the most first.
      items: campaign -> rows of its items, those that sell best first, and their coupons.
    """

    campaigns: Mapping[str, tuple[tuple[str, float], ...]]
    items: Mapping[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def read(cls, config: PromotionsConfig, catalogue: Catalogue, sold: np.ndarray) -> "Offers":
        """Reads the tables.

        Args:
          config: says where they are.
          catalogue: gives the items their rows.
          sold: `[items]`, how often each was chosen.

        Raises:
          UserError: if a table or a column is missing, or no item is of the catalogue.
        """
        items = _items(config, catalogue, sold)
        if not items:
            raise UserError(
                f"{_FIELD}.source: {config.source!r}: no item is of the catalogue; check "
                f"{_FIELD}.item"
            )
        return cls(_campaigns(config.pairs), items)


class PromotedItems:
    """The items of the offers that are to be shown to a shopper, those that change most first."""

    def __init__(self, offers: Offers) -> None:
        """Takes the offers."""
        self._offers = offers

    def find(self, state: State, count: int) -> Found:
        """Takes one item of each coupon in turn; what the shopper had before comes first."""
        pieces = list(self._of(state))
        if not pieces:
            return Found(NOTHING)
        rows, coupons, uplifts = map(np.concatenate, zip(*pieces, strict=True))
        _, first = np.unique(rows, return_index=True)
        first = np.sort(first)[:count]
        return Found(rows[first], None, {"coupon": coupons[first], "uplift": uplifts[first]})

    def _of(self, state: State) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for campaign, uplift in self._offers.campaigns.get(state.request.user or "", ()):
            rows, coupons = self._offers.items.get(campaign, (NOTHING, NOTHING))
            if not len(rows):
                continue
            own = np.argsort(~np.isin(rows, state.history), kind="stable")
            rows, coupons = rows[own], coupons[own]
            turns = np.argsort(_ranks_within(coupons), kind="stable")
            yield rows[turns], coupons[turns], np.full(len(rows), uplift)


def _campaigns(file: Path) -> dict[str, tuple[tuple[str, float], ...]]:
    try:
        table = pa.parquet.read_table(file, columns=list(_PAIRS)).to_pandas()
    except FileNotFoundError:
        raise UserError(f"{_FIELD}.pairs: {file}: not there; run `tfrec uplift` first") from None
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{_FIELD}.pairs: {file}: no table of `tfrec uplift`: {str(error).splitlines()[0]}"
        ) from None
    kept = table[table.to_send.astype(bool)].sort_values("uplift", ascending=False, kind="stable")
    found: dict[str, tuple[tuple[str, float], ...]] = {}
    for user, of in kept.groupby("user", sort=False):
        pairs = zip(of.campaign.astype(str), of.uplift.astype(float), strict=True)
        found[str(user)] = tuple(pairs)
    return found


def _items(
    config: PromotionsConfig, catalogue: Catalogue, sold: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    field = f"{_FIELD}.source"
    files = find_files(field, config.source)
    named = {"campaign": config.campaign, "item": config.item, "coupon": config.coupon}
    there = column_types(field, files)
    for key, column in named.items():
        if column not in there:
            raise UserError(
                f"{_FIELD}.{key}: {column!r}: no such column; there are {', '.join(there)}"
            )
    pieces = [
        pd.DataFrame(
            {key: to_strings(batch[column])[0].to_pandas() for key, column in named.items()}
        )
        for file in files
        for batch in read_rows(file, list(named.values()))
        if not isinstance(batch, BadRow)
    ]
    table = (
        pd.concat(pieces).dropna().drop_duplicates() if pieces else pd.DataFrame(columns=[*named])
    )
    table["row"] = catalogue.rows(table["item"].to_numpy(object)) if len(table) else []
    table = table[table.row >= 0]
    table = table.assign(sold=sold[table.row.to_numpy(np.int64)])
    table = table.sort_values(["sold", "row"], ascending=[False, True], kind="stable")
    return {
        str(campaign): (
            of.row.to_numpy(np.int64)[:_MOST_ITEMS],
            of.coupon.to_numpy(object)[:_MOST_ITEMS],
        )
        for campaign, of in table.groupby("campaign", sort=False)
    }


def _ranks_within(values: np.ndarray) -> np.ndarray:
    """How many equal values stand before each."""
    return pd.Series(values).groupby(values, sort=False).cumcount().to_numpy()
