"""How stages tell what they are doing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfrec.training.processes import TaskStatus


class Reporter:
    """Hears what goes on; this one keeps it to itself, the command line's shows it."""

    def stage(self, name: str) -> None:
        """A stage begins."""

    def step(self, what: str) -> None:
        """A part of the stage begins whose length is not known."""

    def progress(self, what: str, done: int, total: int) -> None:
        """A part of the stage is `done` of `total`."""

    def warn(self, what: str) -> None:
        """Something went wrong without ending the stage."""

    def tasks(self, tasks: "Sequence[TaskStatus]") -> None:
        """The processes of a cluster are in these states."""
