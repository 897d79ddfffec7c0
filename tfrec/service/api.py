"""What the service is asked, and what it answers."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tfrec.service.events import Number, Text, Value

Scenario = Literal["home", "similar", "complementary", "reorder", "promotions", "search"]

_LONGEST_QUERY = 500
_MOST_ITEMS = 200
_MOST_EXCLUDED = 1000
_MOST_RECENT = 100
_MOST_PLACES = 100
_MOST_CONDITIONS = 32
_MOST_VALUES = 100

Values = Annotated[tuple[Text, ...], Field(max_length=_MOST_VALUES)]
Query = Annotated[str, Field(min_length=1, max_length=_LONGEST_QUERY)]
Places = Annotated[int, Field(ge=1, le=_MOST_PLACES)]


class Message(BaseModel):
    """A body of a request or an answer: frozen, and a field it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Filters(Message):
    """Which items may be on a slate.

    Attributes:
      only: feature of the catalogue -> the values of which an item has to have one.
      without: feature -> values of which an item must have none.
      least: number, such as `price` -> the least that it has to be.
      most: number -> the most.
      flags: what must not be true of an item, such as `alcohol` or `nuts`.
      in_stock: whether items out of stock are left out.
    """

    only: Mapping[Text, Values] = Field(max_length=_MOST_CONDITIONS, default_factory=dict)
    without: Mapping[Text, Values] = Field(max_length=_MOST_CONDITIONS, default_factory=dict)
    least: Mapping[Text, Number] = Field(max_length=_MOST_CONDITIONS, default_factory=dict)
    most: Mapping[Text, Number] = Field(max_length=_MOST_CONDITIONS, default_factory=dict)
    flags: Values = ()
    in_stock: bool = True


class RecommendationRequest(Message):
    """Asks for a slate.

    Attributes:
      scenario: the shelf.
      user: the shopper's id, where it is known.
      session: of an anonymous shopper; the events sent under it are known.
      recent: ids of items that an anonymous shopper was at last, the newest last, where the
        service has no events of them.
      items: what `similar` and `complementary` are asked for: an item or a basket.
      query: what `search` is asked for.
      context: feature of role context -> its value now.
      k: places of the slate.
      filters: which items may be on it.
      exclude: ids of items that may not.
      explain: whether each item says why.
    """

    scenario: Scenario = "home"
    user: Text | None = None
    session: Text | None = None
    recent: Annotated[tuple[Text, ...], Field(max_length=_MOST_RECENT)] = ()
    items: Annotated[tuple[Text, ...], Field(max_length=_MOST_ITEMS)] = ()
    query: Query | None = None
    context: Mapping[Text, Value] = Field(max_length=_MOST_CONDITIONS, default_factory=dict)
    k: Places = 10
    filters: Filters = Field(default_factory=Filters)
    exclude: Annotated[tuple[Text, ...], Field(max_length=_MOST_EXCLUDED)] = ()
    explain: bool = False

    @model_validator(mode="after")
    def _has_what_its_scenario_needs(self) -> "RecommendationRequest":
        if self.scenario in ("similar", "complementary") and not self.items:
            raise ValueError(f"items: {self.scenario} needs the id of an item at least")
        if self.scenario == "search" and not self.query:
            raise ValueError("query: search needs what to look for")
        return self


class SlateItem(Message):
    """One place of a slate.

    Attributes:
      id: of the item.
      name: for people.
      position: from 1.
      score: that the slate is ordered by before it is re-ranked.
      scores: task -> the ranking model's prediction; empty where none was asked.
      source: which candidate source found it first.
      features: the item's categories and numbers, for people: `department`, `price`.
      reason: a code, such as `because_you_bought:ID`; None unless asked for.
      why: the reason as a sentence; None unless asked for.
      coupon: of the offer that comes with it, in `promotions`.
      propensity: the chance with which the slate's policy shows this item here.
    """

    id: str
    name: str
    position: int
    score: float | None
    scores: Mapping[str, float] = {}
    source: str
    features: Mapping[str, str | float | None] = {}
    reason: str | None = None
    why: str | None = None
    coupon: str | None = None
    propensity: float = 1.0


class Slate(Message):
    """What is shown.

    Attributes:
      request_id: to name the slate by, in events and in logs.
      scenario: the shelf.
      items: best first; fewer than asked for where no other one passes.
      arms: experiment -> the arm that the shopper is in.
      models: model -> the version that answered.
      fallbacks: what was not there, and what stood in: `ranker: retrieval order`.
      emptied_by: the filter that left nothing; None where the slate is not empty.
      cached: whether it is an answer of before.
      timings: step -> milliseconds.
    """

    request_id: str
    scenario: Scenario
    items: tuple[SlateItem, ...]
    arms: Mapping[str, str] = {}
    models: Mapping[str, str] = {}
    fallbacks: tuple[str, ...] = ()
    emptied_by: str | None = None
    cached: bool = False
    timings: Mapping[str, float] = {}


class GuideRequest(Message):
    """Asks the shopping guide.

    Attributes:
      message: what the shopper writes.
      user: the shopper's id, where it is known.
      session: of an anonymous shopper.
      conversation: what the last reply said to send with the next turn; None begins anew.
      k: places of the slate.
    """

    message: Query
    user: Text | None = None
    session: Text | None = None
    conversation: Annotated[str, Field(max_length=8192)] | None = None
    k: Places = 10


class GuideReply(Message):
    """What the guide says.

    Attributes:
      sentence: for people.
      slate: what was found.
      understood: the constraints that were read from the conversation so far.
      conversation: to be sent with the next turn.
      phrased_by: `rules`, or the language model's name.
    """

    sentence: str
    slate: Slate
    understood: "Understood"
    conversation: str
    phrased_by: str = "rules"


class Understood(Message):
    """What a conversation asks for.

    Attributes:
      about: the words to search by, without those that are constraints.
      filters: the constraints.
      quantity: how many items are wanted; None where it is not said.
      not_understood: words that the catalogue does not know.
    """

    about: str
    filters: Filters
    quantity: int | None = None
    not_understood: tuple[str, ...] = ()
