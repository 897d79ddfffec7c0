"""The parameters of a synthetic shop; docs/synthetic.md has the formula that each enters."""

import datetime
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from tfrec.config import Duration, Section
from tfrec.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Chance = Annotated[float, Field(gt=0, le=1)]
Spread = Annotated[float, Field(ge=0, le=3)]
Exponent = Annotated[float, Field(ge=0, le=3)]
Start = Annotated[datetime.date, Field(ge=datetime.date(1900, 1, 1), le=datetime.date(2200, 1, 1))]


class Tastes(Section):
    """What a user looks at.

    Attributes:
      per_user: categories that a user prefers, some of which may coincide.
      own_share: share of looks that go to them; the others go to the whole shop by popularity.
    """

    per_user: Annotated[int, Field(ge=1, le=100)] = 3
    own_share: Share = 0.8


class Funnel(Section):
    """Chance of each step of a look, given the step before.

    Attributes:
      click: of a click on what was shown.
      view: of a product page that opens after the click.
      cart: of putting into the cart what was viewed.
      purchase: of buying, at the regular price, what is in the cart.
    """

    click: Chance = 0.4
    view: Chance = 0.9
    cart: Chance = 0.35
    purchase: Chance = 0.45


class Sessions(Section):
    """The course of a visit.

    Attributes:
      looks: mean of the items that a session looks at; their number is geometric.
      look_gap: mean seconds from the last event of a look to the next look; exponential.
      step_gap: mean seconds from one step of a look to the next; exponential.
      web_share: share of sessions on the web; the others are in the app.
    """

    looks: Annotated[float, Field(ge=1, le=1000)] = 6.0
    look_gap: Duration = 120
    step_gap: Duration = 15
    web_share: Share = 0.6


class Season(Section):
    """When sessions begin; all times are UTC.

    Attributes:
      weekend: events on a Saturday or Sunday, as a multiple of another day's.
      daily_swing: how far the busiest hour lies above the mean hour, and the quietest below.
      peak_hour: the busiest hour of the day.
      holidays: days of every year, as MM-DD, at which demand peaks.
      holiday_lift: what a holiday adds, as a multiple of a common day.
      holiday_width: standard deviation of the peak, in days.
    """

    weekend: Annotated[float, Field(gt=0)] = 1.4
    daily_swing: Annotated[float, Field(ge=0, lt=1)] = 0.8
    peak_hour: Annotated[int, Field(ge=0, le=23)] = 20
    holidays: tuple[str, ...] = ("02-13", "05-10", "11-28", "12-20")
    holiday_lift: Annotated[float, Field(ge=0)] = 1.5
    holiday_width: Annotated[float, Field(gt=0)] = 3.0

    @field_validator("holidays")
    @classmethod
    def _are_days(cls, holidays: tuple[str, ...]) -> tuple[str, ...]:
        for day in holidays:
            try:
                datetime.date.fromisoformat(f"2023-{day}")
            except ValueError:
                raise ValueError(f"{day!r} is no day of every year; write MM-DD") from None
        return holidays


class Prices(Section):
    """Regular prices, and how demand answers to cheaper ones.

    Attributes:
      median: of all prices, in the shop's currency.
      category_spread: standard deviation, between categories, of a price's logarithm.
      item_spread: the same within a category.
      elasticity: per cent by which purchases rise when a price falls by one per cent.
    """

    median: Annotated[float, Field(gt=0)] = 20.0
    category_spread: Spread = 0.6
    item_spread: Spread = 0.4
    elasticity: Annotated[float, Field(ge=0)] = 1.5


class Promotions(Section):
    """Price cuts for a time, places on display, and coupons.

    Attributes:
      share: share of the items on promotion at any time.
      days: length of a promotion.
      discounts: price cuts, as shares of the regular price, all equally frequent.
      display: share of promotions with a place on display.
      display_looks: share of looks that go to what is on display.
      coupon_users: share of users who have coupons.
      coupon_use: chance that such a user puts a coupon on an item in the cart.
      coupon_discount: what it cuts off the price, be that reduced already or not.
    """

    share: Share = 0.05
    days: Annotated[int, Field(ge=1)] = 7
    discounts: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)
    ] = (0.1, 0.2, 0.3)  # fmt: skip
    display: Share = 0.3
    display_looks: Share = 0.1
    coupon_users: Share = 0.2
    coupon_use: Share = 0.3
    coupon_discount: Annotated[float, Field(ge=0, lt=1)] = 0.1


class Complements(Section):
    """Items that are bought because another one was.

    Attributes:
      share: share of the items that have a complement.
      chance: chance that a purchase of such an item is followed by a view of its complement.
    """

    share: Share = 0.3
    chance: Share = 0.6


class SyntheticShop(Section):
    """A shop to be generated.

    Attributes:
      users: number of shoppers.
      items: number of items of the catalogue.
      events: rows of the log.
      categories: clusters that the items fall into and that users have a taste for.
      brands: brands in each category.
      start: first day of the log.
      days: days on which sessions begin.
      new_users: share of the users who sign up during the log.
      new_items: share of the items that are launched during the log.
      user_exponent: of the Zipf law of users' activity.
      item_exponent: of the Zipf law of items' popularity.
      tastes: what users look at.
      funnel: from an impression to a purchase.
      sessions: the course of a visit.
      season: when visits begin.
      prices: prices and demand.
      complements: what is bought because of what.
      promotions: price cuts, displays and coupons.
      seed: of everything that is drawn.
      events_per_file: rows of each file of events; memory grows with it, not with `events`.
    """

    users: Annotated[int, Field(ge=1, le=10**9)] = 10_000
    items: Annotated[int, Field(ge=1, le=10**9)] = 10_000
    events: Annotated[int, Field(ge=1)] = 1_000_000
    categories: Annotated[int, Field(ge=1)] = 20
    brands: Annotated[int, Field(ge=1)] = 10
    start: Start = datetime.date(2023, 1, 1)
    days: Annotated[int, Field(ge=2, le=36_500)] = 365
    new_users: Share = 0.3
    new_items: Share = 0.2
    user_exponent: Exponent = 0.6
    item_exponent: Exponent = 1.0
    tastes: Tastes = Tastes()
    funnel: Funnel = Funnel()
    sessions: Sessions = Sessions()
    season: Season = Season()
    prices: Prices = Prices()
    complements: Complements = Complements()
    promotions: Promotions = Promotions()
    seed: Annotated[int, Field(ge=0)] = 0
    events_per_file: Annotated[int, Field(ge=1)] = 1_000_000

    @model_validator(mode="after")
    def _fits_together(self) -> "SyntheticShop":
        if self.categories > self.items:
            raise UserError(
                f"categories: {self.categories}: more than the {self.items} items; "
                "give at most one category per item"
            )
        promotions = self.promotions
        cheapest = (1 - max(promotions.discounts)) * (1 - promotions.coupon_discount)
        chance = self.funnel.purchase * cheapest**-self.prices.elasticity
        if chance > 1:
            raise UserError(
                f"funnel.purchase: {self.funnel.purchase}: becomes a chance of {chance:.2f} at "
                f"{cheapest:.2f} of the regular price; lower it, prices.elasticity, "
                "promotions.discounts or promotions.coupon_discount"
            )
        return self
