"""What a shopper has said so far, as it travels with the conversation."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tfrec.errors import UserError
from tfrec.service.events import Text
from tfrec.service.guide.turn import Turn

_LONGEST_SUBJECT = 500
_LONGEST_PHRASE = 100
_MOST_EXCLUDED = 20
_MOST_SHOWN = 60
_MOST_BYTES = 6000
_MOST_PRICE = 1e9
_CENT = 0.01
_NOTHING_RELATIVE = {"above": None, "below": None, "cheap": False}

_Phrase = Annotated[str, Field(min_length=1, max_length=_LONGEST_PHRASE)]
_Phrases = Annotated[tuple[_Phrase, ...], Field(max_length=_MOST_EXCLUDED)]
_Price = Annotated[float, Field(ge=0, le=_MOST_PRICE, allow_inf_nan=False)]


class Conversation(BaseModel):
    """What a shopper has said so far; nothing in it is more than a shopper could say.

    It travels to the shopper and back, so it is read as strictly as a request. What the words mean
    in the catalogue is found anew at each turn.

    Attributes:
      subject: what is looked for.
      categories: values of the catalogue that a language model read.
      excluded: what is not wanted.
      least: lowest price that the shopper said.
      most: highest price that the shopper said.
      above: lowest price, beside what was shown.
      below: highest price, beside what was shown.
      cheap: whether only the cheaper ones of a category are wanted.
      quantity: how many items are wanted.
      shown: ids of items that were shown, the newest last.
      median: price of the middle one of those shown last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: Annotated[str, Field(max_length=_LONGEST_SUBJECT)] = ""
    categories: _Phrases = ()
    excluded: _Phrases = ()
    least: _Price | None = None
    most: _Price | None = None
    above: _Price | None = None
    below: _Price | None = None
    cheap: bool = False
    quantity: Annotated[int, Field(ge=1, le=100)] | None = None
    shown: Annotated[tuple[Text, ...], Field(max_length=_MOST_SHOWN)] = ()
    median: _Price | None = None

    @classmethod
    def read(cls, token: str | None) -> "Conversation":
        """Reads what came with a request.

        Raises:
          UserError: if no reply has said that.
        """
        if token is None:
            return cls()
        try:
            content = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            return cls.model_validate_json(content)
        except (UnicodeEncodeError, binascii.Error, ValidationError):
            raise UserError(
                f"conversation: {token[:20]!r}...: is none that a reply has given; send that of "
                "the last reply as it is, or leave it out to begin anew"
            ) from None

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The lowest and the highest price of all that was said."""
        low = [bound for bound in (self.least, self.above) if bound is not None]
        high = [bound for bound in (self.most, self.below) if bound is not None]
        return max(low, default=None), min(high, default=None)

    def written(self) -> str:
        """What the next request has to bring; items shown long ago are left out for its length."""
        content = self.model_dump(exclude_defaults=True)
        while len(written := orjson.dumps(content)) > _MOST_BYTES and content.get("shown"):
            content["shown"] = content["shown"][len(content["shown"]) // 2 + 1 :]
        return base64.urlsafe_b64encode(written).decode()

    def after(self, turn: Turn) -> "Conversation":
        """What is asked for once one more turn was said.

        A new subject takes the place of the one before; the price that was said and exclusions
        stay. Amounts take the place of those before.
        """
        before = Conversation() if turn.start_over else self
        changes: dict[str, object] = {}
        if turn.subject or turn.categories:
            changes |= before._renamed(turn)
        if turn.price:
            least, most = turn.price
            changes |= {"least": least, "most": most, **_NOTHING_RELATIVE}
        elif turn.relative:
            changes |= before._moved(turn)
        if turn.quantity:
            changes["quantity"] = turn.quantity
        if turn.excluded or turn.allowed:
            kept = () if turn.instead else before.excluded
            again = {phrase.split()[-1] for phrase in turn.allowed}
            phrases = [phrase for phrase in kept if phrase.split()[-1] not in again]
            phrases += [phrase[:_LONGEST_PHRASE] for phrase in turn.excluded]
            changes["excluded"] = tuple(dict.fromkeys(phrases))[-_MOST_EXCLUDED:]
        return before.model_copy(update=changes)

    def with_shown(self, items: Sequence[str], prices: Sequence[float]) -> "Conversation":
        """Once items were shown, of these prices where they are known."""
        shown = [*(item for item in self.shown if item not in items), *items]
        middle = sorted(prices)[(len(prices) - 1) // 2] if prices else None
        return self.model_copy(
            update={"shown": tuple(shown[-_MOST_SHOWN:]), "median": middle},
        )

    def _renamed(self, turn: Turn) -> Mapping[str, object]:
        subject, quantity = turn.subject, turn.quantity
        if turn.relation == "narrower" and self.subject:
            subject, quantity = f"{turn.subject} {self.subject}", turn.quantity or self.quantity
        return {
            "subject": subject[:_LONGEST_SUBJECT],
            "categories": turn.categories[:_MOST_EXCLUDED],
            "quantity": quantity,
            "shown": (),
            "median": None,
            **_NOTHING_RELATIVE,
        }

    def _moved(self, turn: Turn) -> Mapping[str, object]:
        """Bounds beside the prices that were shown."""
        if turn.relative == "cheap" or self.median is None:
            return {**_NOTHING_RELATIVE, "cheap": turn.relative != "dearer"}
        if turn.relative == "dearer":
            most = self.most if self.most is not None and self.most > self.median else None
            above = round(self.median + _CENT, 2)
            return {**_NOTHING_RELATIVE, "above": above, "most": most}
        least = self.least if self.least is not None and self.least < self.median else None
        below = max(round(self.median - _CENT, 2), 0.0)
        return {**_NOTHING_RELATIVE, "below": below, "least": least}
