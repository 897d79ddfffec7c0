"""The event log of a synthetic shop, in order of time and in bounded memory."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tfrec.data.synthetic.config import SyntheticShop
from tfrec.data.synthetic.draws import Stream, generator, moments
from tfrec.data.synthetic.items import Items
from tfrec.data.synthetic.season import day_weights, portions, time_of_day
from tfrec.data.synthetic.shop_day import ShopDay, Step
from tfrec.data.synthetic.users import Users

_BLOCK_EVENTS = 250_000
"""Events that are in memory at once, about; busier days are drawn in several blocks."""

_STEPS = pa.array([step.name.lower() for step in Step])
_CHANNELS = pa.array(["app", "web"])


def draw_events(config: SyntheticShop, items: Items, users: Users) -> Iterator[pa.Table]:
    """Draws the log.

    Args:
      config: the shop.
      items: its catalogue.
      users: its users.

    Yields:
      Tables that together hold `config.events` rows in order of time: `user_id`, `item_id`,
      `time`, `event`, `session_id`, `price`, `quantity`, `coupon`, `channel`. Sessions begin
      within `config.days`; the last ones may end after midnight.
    """
    late = None
    for rows, end in _draw_blocks(config, items, users):
        rows = rows if late is None else pa.concat_tables([late, rows])
        rows = rows.take(pa.array(np.argsort(rows["time"].to_numpy(), kind="stable")))
        ready = int(np.searchsorted(rows["time"].to_numpy(), end))
        yield _as_logged(rows.slice(0, ready), items, users)
        late = rows.slice(ready)
    if late is not None:
        yield _as_logged(late, items, users)


class _Block(NamedTuple):
    """A stretch of a day: the sessions that begin in it, by their share of the day's sessions."""

    number: int
    begin: float
    end: float
    target: int
    """Events of the whole log up to the end of the block."""


def _draw_blocks(
    config: SyntheticShop, items: Items, users: Users
) -> Iterator[tuple[pa.Table, int]]:
    """Draws events block by block, with the moment before which no later block has an event."""
    made = sessions = 0
    for day, blocks in enumerate(_plan(config)):
        shop = ShopDay(config, items, users, day)
        for block in blocks:
            random = generator(config.seed, Stream.EVENTS, day, block.number)
            parts = []
            while made < block.target:
                wanted = -(-(block.target - made) // _events_per_session(config))
                shares = np.sort(random.uniform(block.begin, block.end, int(wanted)))
                begins = shop.midnight + time_of_day(config.season, shares).astype(np.int64)
                part = shop.sessions(random, begins).slice(0, config.events - made)
                part = _renumber(part, sessions)
                made, sessions = made + len(part), sessions + len(begins)
                parts.append(part)
            if parts:
                end = shop.midnight + int(time_of_day(config.season, np.array(block.end)))
                yield pa.concat_tables(parts), end


def _plan(config: SyntheticShop) -> Iterator[list[_Block]]:
    """Divides the log into days by their season, and busy days into blocks."""
    done = 0
    for events in portions(config.events, day_weights(config.season, config.start, config.days)):
        count = max(1, -(-int(events) // _BLOCK_EVENTS))
        edges = np.linspace(0, 1, count + 1)
        targets = done + np.cumsum(portions(int(events), np.ones(count)))
        yield [_Block(n, edges[n], edges[n + 1], int(targets[n])) for n in range(count)]
        done += int(events)


def _events_per_session(config: SyntheticShop) -> float:
    """The mean number of events of a session without promotions and complements."""
    funnel = config.funnel
    steps = np.cumprod([1, funnel.click, funnel.view, funnel.cart, funnel.purchase])
    return config.sessions.looks * float(steps.sum())


def _renumber(rows: pa.Table, first: int) -> pa.Table:
    column = rows.schema.get_field_index("session")
    return rows.set_column(column, "session", pa.array(rows["session"].to_numpy() + first))


def _as_logged(rows: pa.Table, items: Items, users: Users) -> pa.Table:
    """Replaces rows and numbers by what a shop writes."""
    return pa.table(
        {
            "user_id": users.ids.take(rows["user"]),
            "item_id": items.ids.take(rows["item"]),
            "time": moments(rows["time"].to_numpy()),
            "event": _STEPS.take(rows["event"]),
            "session_id": rows["session"],
            "price": rows["price"],
            "quantity": rows["quantity"],
            "coupon": rows["coupon"],
            "channel": _CHANNELS.take(rows["web"].cast(pa.int8())),
        }
    )
