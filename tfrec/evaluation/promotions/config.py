"""What to learn of campaigns, and how."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from tfrec.config import Duration, Section
from tfrec.data.config import Unit
from tfrec.evaluation.online.reading import Selection
from tfrec.models.effects.trees import Trees

Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Campaigns(Selection):
    """Campaigns, a row each.

    Attributes:
      campaign: column of the campaign's id.
      start: column of the moment it began.
      end: column of the day it ended, which is part of it.
      kind: column of what kind of campaign it is.
      unit: of times that are numbers, counted from 1970.
      format: of times that are text and not ISO 8601, as `strptime` takes it.
    """

    campaign: str
    start: str
    end: str
    kind: str | None = None
    unit: Unit = "s"
    format: str | None = None


class Sent(Selection):
    """Who got which campaign.

    Attributes:
      campaign: column of the campaign's id.
      user: column of the shopper's id.
    """

    campaign: str
    user: str


class Coupons(Selection):
    """Which items a campaign's coupons are for.

    Attributes:
      campaign: column of the campaign's id.
      item: column of the item's id.
    """

    campaign: str
    item: str


class Redemptions(Selection):
    """Coupons that shoppers redeemed.

    Attributes:
      campaign: column of the campaign's id.
      user: column of the shopper's id.
      time: column of the moment or day.
      unit: of times that are numbers, counted from 1970.
      format: of times that are text and not ISO 8601, as `strptime` takes it.
    """

    campaign: str
    user: str
    time: str
    unit: Unit = "s"
    format: str | None = None


class Purchases(Selection):
    """What was bought.

    Attributes:
      user: column of the shopper's id.
      item: column of the item's id.
      time: column of the moment.
      revenue: column of the money paid.
      discount: column of the money that coupons took off.
      unit: of times that are numbers, counted from 1970.
      format: of times that are text and not ISO 8601, as `strptime` takes it.
    """

    user: str
    item: str
    time: str
    revenue: str
    discount: str | None = None
    unit: Unit = "s"
    format: str | None = None


class Profiles(Selection):
    """What is known of shoppers; not all need a row.

    Attributes:
      user: column of the shopper's id.
      columns: what to take, as numbers of their values in the order of the alphabet.
    """

    user: str
    columns: tuple[str, ...]


class Allocation(Section):
    """How campaigns are to be given to shoppers.

    Attributes:
      budget: what all may cost together.
      each: campaigns a shopper gets at most.
      sent_costs: what sending one costs.
      redeemed_costs: what a shopper who redeems costs besides. With `sent_costs: 1` and this 0 the
        budget is a number of mailings.
    """

    budget: Money
    each: Annotated[int, Field(gt=0)] = 1
    sent_costs: Money = 1.0
    redeemed_costs: Money = 0.0


class UpliftConfig(Section):
    """What campaigns change in what shoppers buy, learned from earlier ones, tried on later ones.

    Attributes:
      name: of the directory below `runs`.
      runs: directory below which results are kept.
      campaigns: the campaigns.
      sent: who got them.
      coupons: what they are for.
      redemptions: who made use of them.
      purchases: what was bought, also by those who got none.
      profiles: what else is known of shoppers.
      held_out: campaigns that began from then on (UTC) are held out. Those that ended before are
        learned from; others are left out, since on that day nobody knew what came of them.
      outcome: `spend`, money a week on the campaign's items beyond that of `history`; or `buys`,
        whether any of them was bought.
      history: how long before a campaign purchases are looked at.
      shortest: campaigns of which the log shows less are left out.
      fewest: campaigns that fewer shoppers got are left out.
      learner: how the effect is learned; see `tfrec.models.effects.learners`.
      trees: what it and the models beside it are.
      folds: parts of the shoppers; those in one are predicted by models of the others.
      overlap: the smallest probability of each arm; where it is smaller, nothing is concluded.
      allocation: how to give the held-out campaigns; by default they are not.
      resamples: draws of shoppers for intervals.
      seed: of the folds and the draws.
      max_reject_share: the largest share of a source's rows that may be wrong.
    """

    name: str
    runs: Path = Path("runs")
    campaigns: Campaigns
    sent: Sent
    coupons: Coupons
    redemptions: Redemptions
    purchases: Purchases
    profiles: Profiles | None = None
    held_out: datetime
    outcome: Literal["spend", "buys"] = "spend"
    history: Duration = 8 * 7 * 86_400
    shortest: Duration = 14 * 86_400
    fewest: Annotated[int, Field(gt=0)] = 10
    learner: Literal["dr", "x", "t"] = "dr"
    trees: Trees = Trees()
    folds: Annotated[int, Field(ge=2)] = 5
    overlap: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    allocation: Allocation | None = None
    resamples: Annotated[int, Field(ge=2)] = 1_000
    seed: int = 0
    max_reject_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
