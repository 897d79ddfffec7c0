"""Who stands before the page: what its cookie says, and nothing more."""

import base64
import secrets
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tfrec.service.events import ANONYMOUS, Text

COOKIE = "storefront"

_MOST_IN_BASKET = 20
_MOST_BYTES = 3800


class Visitor(BaseModel):
    """A shopper at the page.

    The cookie that keeps it is not signed: a session's name is a secret of 128 bits, and where
    shoppers may not be chosen a user in it counts for nothing.

    Attributes:
      session: name of the anonymous session.
      user: the shopper's id, where one was chosen.
      basket: ids of the items in it, the newest last.
      said: what the shopper did last, which the next page says once: the action and the item.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    session: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    user: Text | None = None
    basket: Annotated[tuple[Text, ...], Field(max_length=_MOST_IN_BASKET)] = ()
    said: tuple[Text, Text] | None = None

    @field_validator("user")
    @classmethod
    def _no_session(cls, user: str | None) -> str | None:
        if user and user.startswith(ANONYMOUS):
            raise ValueError(f"begins like a session; ids of shoppers have no {ANONYMOUS!r}")
        return user

    @classmethod
    def new(cls, user: str | None = None) -> "Visitor":
        """Somebody who was not here before."""
        return cls(session=secrets.token_hex(16), user=user)

    @classmethod
    def of_cookie(cls, text: str | None, may_choose: bool) -> "Visitor":
        """Reads what `cookie` wrote; what it did not write is a new visitor.

        Args:
          text: the cookie's value; None without one.
          may_choose: whether visitors may be shoppers that they name.
        """
        try:
            padded = (text or "") + "=" * (-len(text or "") % 4)
            visitor = cls.model_validate_json(base64.urlsafe_b64decode(padded))
        except ValueError:  # errors of base64 and of validation are such
            return cls.new()
        return visitor if may_choose else visitor.model_copy(update={"user": None})

    def cookie(self) -> str:
        """Writes the visitor for a cookie; of too full a basket the oldest items are left out."""
        visitor = self
        while len(text := visitor._encoded()) > _MOST_BYTES and visitor.basket:
            visitor = visitor.model_copy(update={"basket": visitor.basket[1:]})
        return text

    def with_item(self, item: str) -> "Visitor":
        """The visitor with an item in the basket."""
        basket = (*(one for one in self.basket if one != item), item)[-_MOST_IN_BASKET:]
        return self.model_copy(update={"basket": basket})

    def without_items(self, *items: str) -> "Visitor":
        """The visitor without some items in the basket."""
        basket = tuple(one for one in self.basket if one not in items)
        return self.model_copy(update={"basket": basket})

    def saying(self, action: str, item: str) -> "Visitor":
        """The visitor to whom the next page says what was done."""
        return self.model_copy(update={"said": (action, item)})

    def silent(self) -> "Visitor":
        """The visitor to whom it is said."""
        return self.model_copy(update={"said": None})

    @property
    def key(self) -> str:
        """By which the feature store knows the visitor."""
        return self.user if self.user is not None else ANONYMOUS + self.session

    @property
    def asker(self) -> dict[str, str]:
        """Who asks, as fields of a request."""
        return {"user": self.user} if self.user is not None else {"session": self.session}

    def _encoded(self) -> str:
        content = self.model_dump_json(exclude_defaults=True).encode()
        return base64.urlsafe_b64encode(content).decode().rstrip("=")
