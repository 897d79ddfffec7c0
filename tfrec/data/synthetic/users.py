"""The shoppers of a synthetic shop."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tfrec.data.synthetic.config import SyntheticShop
from tfrec.data.synthetic.draws import DAY_SECONDS, Stream, generator, moments, named
from tfrec.data.synthetic.items import Items, category_names
from tfrec.data.synthetic.season import midnight

_SEGMENTS = ("loyal", "regular", "occasional")
_SEGMENT_ENDS = (0.1, 0.5)
"""The most active tenth is loyal, the more active half else regular."""
_OLDEST_DAYS = 730


@dataclass(frozen=True)
class Users:
    """Users and what decides what they do, by row.

    Attributes:
      ids: `[users]` strings.
      segment: `[users]` int64, 0 for the most active.
      signup: `[users]` int64 seconds since 1970; no event comes before it.
      activity: `[users]` float64 Zipf weights.
      has_coupons: `[users]` bool.
      tastes: `[users, per_user]` int64 categories.
      taste_ends: `[users, per_user]` float64 running sums of the tastes' weights; the last is 1.
    """

    ids: pa.Array
    segment: np.ndarray
    signup: np.ndarray
    activity: np.ndarray
    has_coupons: np.ndarray
    tastes: np.ndarray
    taste_ends: np.ndarray

    def table(self) -> pa.Table:
        """The users, as the shop knows them."""
        return pa.table(
            {
                "user_id": self.ids,
                "segment": pa.array(_SEGMENTS).take(pa.array(self.segment)),
                "signup": moments(self.signup),
                "has_coupons": self.has_coupons,
            }
        )

    def taste_table(self) -> pa.Table:
        """The truth behind users' choices: user, category, weight; weights of a user sum to 1."""
        user = np.repeat(np.arange(len(self.ids)), self.tastes.shape[1])
        return pa.table(
            {
                "user_id": self.ids.take(pa.array(user)),
                "category": category_names(self.tastes.ravel()),
                "weight": np.diff(self.taste_ends, axis=1, prepend=0.0).ravel(),
            }
        )


def draw_users(config: SyntheticShop, items: Items) -> Users:
    """Draws the shoppers.

    Tastes fall on categories in proportion to the popularity of their items, so that the whole
    shop's sales keep to the items' Zipf law. Their weights are uniform on the simplex. At least
    one user is there from the beginning.
    """
    random, count = generator(config.seed, Stream.USERS), config.users
    rank = random.permutation(count)
    appeal = np.bincount(items.category, items.popularity)
    shape = (count, config.tastes.per_user)
    taste_ends = np.cumsum(random.standard_exponential(shape), axis=1)
    new = random.random(count) < config.new_users
    new[0] = False
    log = config.days * DAY_SECONDS - DAY_SECONDS
    signup = np.where(
        new,
        random.integers(log, size=count),
        -random.integers(_OLDEST_DAYS * DAY_SECONDS, size=count),
    )
    return Users(
        ids=named("u", np.arange(count), 7),
        segment=np.searchsorted(_SEGMENT_ENDS, rank / count, side="right"),
        signup=midnight(config.start) + signup,
        activity=(1.0 + rank) ** -config.user_exponent,
        has_coupons=random.random(count) < config.promotions.coupon_users,
        tastes=random.choice(config.categories, shape, p=appeal / appeal.sum()),
        taste_ends=taste_ends / taste_ends[:, -1:],
    )
