"""Campaigns, redemptions and purchases in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrec.data.times import to_seconds
from tfrec.data.values import to_strings
from tfrec.errors import UserError
from tfrec.evaluation.online.reading import Rows, Wanted, numbers, read_columns
from tfrec.evaluation.promotions.config import Campaigns, Purchases, Redemptions, UpliftConfig

_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Campaign:
    """One campaign.

    Attributes:
      name: its id.
      start: seconds since 1970.
      end: just behind it.
      kind: number of its kind, 0 if there are none.
      items: `[items]` bool: those that its coupons are for.
      sent: `[users]` bool: who got it.
    """

    name: str
    start: int
    end: int
    kind: int
    items: np.ndarray
    sent: np.ndarray


@dataclass(frozen=True)
class CampaignLog:
    """What was sent, redeemed and bought; shoppers and items are numbers.

    Attributes:
      users: names of the shoppers, those who bought something.
      campaigns: by start.
      bought_by: `[purchases]` int64 shoppers, by time.
      bought: `[purchases]` int64 items.
      bought_at: `[purchases]` int64 seconds since 1970, ascending.
      paid: `[purchases]` float64 money.
      taken_off: `[purchases]` float64 money off by coupons; None if the log does not tell.
      redeemed_by: `[redemptions]` int64 shoppers.
      redeemed: `[redemptions]` int64 places in `campaigns`.
      redeemed_at: `[redemptions]` int64 seconds since 1970.
      profiles: `[users, columns]` float64; NaN where unknown.
      left_out: reason -> rows that are not in it.
    """

    users: tuple[str, ...]
    campaigns: tuple[Campaign, ...]
    bought_by: np.ndarray
    bought: np.ndarray
    bought_at: np.ndarray
    paid: np.ndarray
    taken_off: np.ndarray | None
    redeemed_by: np.ndarray
    redeemed: np.ndarray
    redeemed_at: np.ndarray
    profiles: np.ndarray
    left_out: dict[str, int]

    @property
    def begin(self) -> int:
        """The begin of the first purchase's day, in seconds since 1970."""
        return int(self.bought_at[0]) // _DAY_SECONDS * _DAY_SECONDS

    @property
    def end(self) -> int:
        """The end of the last purchase's day, in seconds since 1970."""
        return (int(self.bought_at[-1]) // _DAY_SECONDS + 1) * _DAY_SECONDS


def read_campaigns(config: UpliftConfig) -> CampaignLog:
    """Reads the sources of a config.

    Raises:
      UserError: if there is nothing to read, too much of it is wrong, or an id does not fit.
    """
    read = {
        name: read_columns(name, getattr(config, name), wanted, config.max_reject_share)
        for name, wanted in _wanted(config).items()
    }
    left_out = {
        f"{name}: {reason}": count
        for name, rows in read.items()
        for reason, count in rows.rejected.items()
        if count
    }
    purchases = read["purchases"]
    order = np.argsort(purchases.columns["time"].to_numpy(), kind="stable")
    bought_by, users = _encode(purchases.columns["user"])
    bought, items = _encode(purchases.columns["item"])
    campaigns = _campaigns(read, users, items, left_out)
    redeemed = _redemptions(read["redemptions"], users, campaigns, left_out)
    discount = purchases.columns.get("discount")
    return CampaignLog(
        users=tuple(users.to_pylist()),
        campaigns=campaigns,
        bought_by=bought_by[order],
        bought=bought[order],
        bought_at=purchases.columns["time"].to_numpy()[order],
        paid=_floats(purchases.columns["revenue"])[order],
        taken_off=None if discount is None else np.nan_to_num(_floats(discount))[order],
        redeemed_by=redeemed[0],
        redeemed=redeemed[1],
        redeemed_at=redeemed[2],
        profiles=_profiles(read.get("profiles"), users),
        left_out=left_out,
    )


def _wanted(config: UpliftConfig) -> dict[str, dict[str, Wanted]]:
    """What to read of each source."""

    def text(column: str) -> Wanted:
        return Wanted(column, to_strings)

    def moment(source: Campaigns | Redemptions | Purchases, column: str) -> Wanted:
        return Wanted(column, partial(to_seconds, unit=source.unit, format=source.format))

    campaigns, redemptions, purchases = config.campaigns, config.redemptions, config.purchases
    wanted = {
        "campaigns": {
            "campaign": text(campaigns.campaign),
            "start": moment(campaigns, campaigns.start),
            "end": moment(campaigns, campaigns.end),
        },
        "sent": {"campaign": text(config.sent.campaign), "user": text(config.sent.user)},
        "coupons": {"campaign": text(config.coupons.campaign), "item": text(config.coupons.item)},
        "redemptions": {
            "campaign": text(redemptions.campaign),
            "user": text(redemptions.user),
            "time": moment(redemptions, redemptions.time),
        },
        "purchases": {
            "user": text(purchases.user),
            "item": text(purchases.item),
            "time": moment(purchases, purchases.time),
            "revenue": Wanted(purchases.revenue, numbers),
        },
    }
    if campaigns.kind:
        wanted["campaigns"]["kind"] = text(campaigns.kind)
    if purchases.discount:
        wanted["purchases"]["discount"] = Wanted(purchases.discount, numbers, required=False)
    if config.profiles:
        columns = {name: Wanted(name, to_strings, False) for name in config.profiles.columns}
        wanted["profiles"] = {"user": text(config.profiles.user), **columns}
    return wanted


def _campaigns(
    read: Mapping[str, Rows], users: pa.Array, items: pa.Array, left_out: dict[str, int]
) -> tuple[Campaign, ...]:
    columns = read["campaigns"].columns
    names, starts = columns["campaign"], columns["start"].to_numpy()
    # The last day is part of the campaign, whatever its hour.
    ends = (columns["end"].to_numpy() // _DAY_SECONDS + 1) * _DAY_SECONDS
    _check_campaigns(names, starts, ends)
    kinds = _codes(columns["kind"]) if "kind" in columns else np.zeros(len(names))
    sent = _members(read["sent"], "user", "sent", names, users, left_out)
    coupons = _members(read["coupons"], "item", "coupons", names, items, left_out)
    return tuple(
        Campaign(
            names[place].as_py(),
            *(int(starts[place]), int(ends[place]), int(kinds[place])),
            *(coupons[place], sent[place]),
        )
        for place in np.argsort(starts, kind="stable").tolist()
    )


def _members(
    rows: Rows,
    column: str,
    source: str,
    campaigns: pa.Array,
    names: pa.Array,
    left_out: dict[str, int],
) -> np.ndarray:
    """What belongs to which campaign: `[campaigns, names]` bool."""
    places = _places(rows.columns["campaign"], campaigns, f"{source}.campaign")
    numbers = pc.index_in(rows.columns[column], names)
    known = numbers.is_valid().to_numpy(zero_copy_only=False)
    if not known.all():
        left_out[f"{source}: {column} that no purchase is of"] = int((~known).sum())
    member = np.zeros((len(campaigns), len(names)), bool)
    member[places[known], numbers.drop_null().to_numpy()] = True
    return member


def _redemptions(
    rows: Rows, users: pa.Array, campaigns: tuple[Campaign, ...], left_out: dict[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shoppers, campaigns and moments: `[redemptions]` int64 each."""
    names = pa.array([campaign.name for campaign in campaigns], pa.string())
    places = _places(rows.columns["campaign"], names, "redemptions.campaign")
    numbers = pc.index_in(rows.columns["user"], users)
    known = numbers.is_valid().to_numpy(zero_copy_only=False)
    if not known.all():
        left_out["redemptions: user that no purchase is of"] = int((~known).sum())
    by = numbers.drop_null().to_numpy().astype(np.int64)
    return by, places[known], rows.columns["time"].to_numpy()[known]


def _profiles(rows: Rows | None, users: pa.Array) -> np.ndarray:
    """What is known of each shopper; of several rows of one, the first counts."""
    if rows is None:
        return np.empty((len(users), 0))
    places = pc.index_in(users, rows.columns["user"])
    found = places.is_valid().to_numpy(zero_copy_only=False)
    row = places.fill_null(0).to_numpy()
    columns = [_codes(values) for name, values in rows.columns.items() if name != "user"]
    return np.where(found[:, None], np.column_stack(columns)[row], np.nan)


def _codes(values: pa.Array) -> np.ndarray:
    """Numbers of strings in the order of the alphabet, NaN for null: float64."""
    codes = pc.index_in(values, pa.array(sorted(pc.unique(values.drop_null()).to_pylist())))
    return _floats(codes)


def _places(values: pa.Array, names: pa.Array, field: str) -> np.ndarray:
    places = pc.index_in(values, names)
    if places.null_count:
        stranger = values.filter(places.is_null())[0].as_py()
        raise UserError(f"{field}: {stranger!r} is no campaign of campaigns.campaign; add its row")
    return places.to_numpy().astype(np.int64)


def _check_campaigns(names: pa.Array, starts: np.ndarray, ends: np.ndarray) -> None:
    counts = pc.value_counts(names)
    for count in counts.to_pylist():
        if count["counts"] > 1:
            raise UserError(
                f"campaigns.campaign: {count['values']!r} has {count['counts']} rows; give it one"
            )
    if (wrong := np.flatnonzero(ends <= starts)).size:
        name = names[int(wrong[0])].as_py()
        raise UserError(f"campaigns.end: {name!r} ends before it starts; mend its row")


def _encode(values: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Numbers of strings, and what they stand for."""
    encoded = values.dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def _floats(values: pa.Array) -> np.ndarray:
    return values.cast(pa.float64()).to_numpy(zero_copy_only=False)
