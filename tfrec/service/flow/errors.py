"""What a request can be wrong in."""

from collections.abc import Sequence


class UnknownItemError(Exception):
    """A request names an item that the catalogue does not have.

    Attributes:
      items: their ids.
    """

    def __init__(self, items: Sequence[str]) -> None:
        """Takes the ids."""
        super().__init__(f"no such item: {', '.join(items)}")
        self.items = tuple(items)
