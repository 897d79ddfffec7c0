"""Where on which slate an item stood, as it goes along with links and buttons."""

import re
from typing import Any, NamedTuple

from tfrec.service.api import Slate, SlateItem

_FORM = re.compile(r"(\w{1,32}):([1-9]\d{0,8}):([\d.e-]{1,32}):([\w-]{1,64}):(.{0,256})")


class Place(NamedTuple):
    """A place of a slate.

    Attributes:
      scenario: of the slate.
      position: from 1.
      propensity: the chance with which the item was shown there.
      request_id: of the slate.
      arm: that the shopper is in; empty without an experiment.
    """

    scenario: str
    position: str
    propensity: str
    request_id: str
    arm: str

    @classmethod
    def of(cls, slate: Slate, item: SlateItem) -> "Place":
        """The place of an item on a slate."""
        arm = ";".join(f"{experiment}={arm}" for experiment, arm in slate.arms.items())
        return cls(slate.scenario, str(item.position), str(item.propensity), slate.request_id, arm)

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """Reads what `str` wrote; None where it did not."""
        found = _FORM.fullmatch(text)
        return cls(*found.groups()) if found else None

    def __str__(self) -> str:
        """The place in one line."""
        return ":".join(self)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of an event that say it."""
        fields = self._asdict()
        del fields["request_id"]
        return {name: value for name, value in fields.items() if value}
