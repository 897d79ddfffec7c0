"""The sessions of a synthetic shop on one day."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from tfrec.data.synthetic.config import SyntheticShop
from tfrec.data.synthetic.draws import DAY_SECONDS, WeightedDraw
from tfrec.data.synthetic.items import Items
from tfrec.data.synthetic.promotions import draw_period
from tfrec.data.synthetic.season import midnight
from tfrec.data.synthetic.users import Users

_MORE_PIECES = 0.2
"""Mean number of pieces bought beyond the first; Poisson."""


class Step(IntEnum):
    """The steps of a look; an event's type is the name in small letters."""

    IMPRESSION = 0
    CLICK = 1
    VIEW = 2
    CART = 3
    PURCHASE = 4


class Looks(NamedTuple):
    """Items that sessions look at, in the order of session and time.

    Attributes:
      session: `[looks]` int64 number of the session, from 0.
      item: `[looks]` int64 row.
      coupon: `[looks]` bool, whether a coupon lies ready for the cart.
      reached: `[looks, steps]` bool, whether the look has an event of the step.
    """

    session: np.ndarray
    item: np.ndarray
    coupon: np.ndarray
    reached: np.ndarray


class ShopDay:
    """Who may come on a day, what may be bought then, and at what price."""

    def __init__(self, config: SyntheticShop, items: Items, users: Users, day: int) -> None:
        """Opens the shop on a day, counted from 0, for all who and what is there at midnight."""
        self.midnight = midnight(config.start) + day * DAY_SECONDS
        self._config, self._items, self._users = config, items, users
        self._visitor = WeightedDraw(users.activity * (users.signup <= self.midnight))
        on_sale = items.popularity * (items.launch <= self.midnight)
        self._item_by_category = WeightedDraw(on_sale[items.by_category])
        promotions = draw_period(config, items, day // config.promotions.days)
        self._price_share = np.ones(config.items)
        self._price_share[promotions.items] -= promotions.discount
        self._displayed = promotions.items[promotions.display]

    def sessions(self, random: np.random.Generator, begins: np.ndarray) -> pa.Table:
        """Draws what happens in sessions.

        Args:
          random: the source of randomness.
          begins: `[sessions]` int64 seconds since 1970.

        Returns:
          A row for each event, in the order of session and time: `time`, `session` (from 0),
          `user`, `item` (rows), `event` (a `Step`), `price`, `quantity`, `coupon`, `web`.
        """
        everyone = np.zeros(len(begins), np.int64)
        visitor = self._visitor(random, everyone, everyone + self._config.users)
        looks = self._add_complements(random, self._looks(random, visitor), visitor)
        look, step = np.divmod(np.flatnonzero(looks.reached), len(Step))
        session, item, in_cart = looks.session[look], looks.item[look], step >= Step.CART
        coupon = looks.coupon[look] & in_cart
        price = self._items.price[item] * self._paid_share(item, coupon)
        pieces = 1 + random.poisson(_MORE_PIECES, len(looks.item))
        web = random.random(len(begins)) < self._config.sessions.web_share
        return pa.table(
            {
                "time": begins[session] + self._elapsed(random, session, look),
                "session": session,
                "user": visitor[session],
                "item": item,
                "event": step,
                "price": np.maximum(price.round(2), 0.01),
                "quantity": np.where(in_cart, pieces[look], 0).astype(np.int32),
                "coupon": coupon,
                "web": web[session],
            }
        )

    def _looks(self, random: np.random.Generator, visitor: np.ndarray) -> Looks:
        count = random.geometric(1 / self._config.sessions.looks, len(visitor))
        session = np.repeat(np.arange(len(visitor)), count)
        user = visitor[session]
        return self._walk(random, session, user, self._choose(random, user), Step.IMPRESSION)

    def _choose(self, random: np.random.Generator, user: np.ndarray) -> np.ndarray:
        """Chooses an item by taste, by popularity in the whole shop, or off a display."""
        users, items, starts = self._users, self._items, self._items.category_starts
        beyond = random.random((len(user), 1)) >= users.taste_ends[user, :-1]  # [looks, tastes - 1]
        category = users.tastes[user, beyond.sum(axis=1)]
        own = random.random(len(user)) < self._config.tastes.own_share
        first = np.where(own, starts[category], 0)
        end = np.where(own, starts[category + 1], starts[-1])
        chosen = items.by_category[self._item_by_category(random, first, end)]
        if not len(self._displayed):
            return chosen
        off_display = random.random(len(user)) < self._config.promotions.display_looks
        return np.where(off_display, random.choice(self._displayed, len(user)), chosen)

    def _walk(
        self,
        random: np.random.Generator,
        session: np.ndarray,
        user: np.ndarray,
        item: np.ndarray,
        entry: Step,
    ) -> Looks:
        """Goes from the step of entry as far as chance, and the price, let each look go."""
        funnel, promotions = self._config.funnel, self._config.promotions
        coupon = self._users.has_coupons[user] & (random.random(len(user)) < promotions.coupon_use)
        demand = self._paid_share(item, coupon) ** -self._config.prices.elasticity
        chance = np.tile(
            [1, funnel.click, funnel.view, funnel.cart, funnel.purchase], (len(user), 1)
        )
        chance[:, : entry + 1] = 1
        chance[:, Step.PURCHASE] *= demand
        reached = np.logical_and.accumulate(random.random(chance.shape) < chance, axis=1)
        reached[:, :entry] = False
        return Looks(session, item, coupon, reached)

    def _paid_share(self, item: np.ndarray, coupon: np.ndarray) -> np.ndarray:
        """The price to pay as a share of the regular one."""
        kept = 1 - self._config.promotions.coupon_discount
        return self._price_share[item] * np.where(coupon, kept, 1.0)

    def _add_complements(
        self, random: np.random.Generator, looks: Looks, visitor: np.ndarray
    ) -> Looks:
        """Lets views of their complements follow purchases."""
        complement = self._items.complement[looks.item]
        leads = random.random(len(complement)) < self._config.complements.chance
        causes = np.flatnonzero(looks.reached[:, Step.PURCHASE] & (complement >= 0) & leads)
        session = looks.session[causes]
        added = self._walk(random, session, visitor[session], complement[causes], Step.VIEW)
        pairs = zip(looks, added, strict=True)
        return Looks(*(np.insert(old, causes + 1, new, axis=0) for old, new in pairs))

    def _elapsed(
        self, random: np.random.Generator, session: np.ndarray, look: np.ndarray
    ) -> np.ndarray:
        """Whole seconds from the begin of its session to each event."""
        course = self._config.sessions
        new_look = np.diff(look, prepend=-1) > 0
        mean_gap = np.where(new_look, course.look_gap, course.step_gap)
        clock = np.cumsum(random.standard_exponential(len(look)) * mean_gap)
        first = np.flatnonzero(np.diff(session, prepend=-1))
        return (clock - clock[first][session]).astype(np.int64)
