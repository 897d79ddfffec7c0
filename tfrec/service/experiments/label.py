"""Arms of several experiments in one column of the log: `ranker=new;coupons=few`."""

from collections.abc import Mapping

_BETWEEN, _IS = ";", "="
LONGEST = 256
"""Letters that an event's field may have."""


def write_label(arms: Mapping[str, str]) -> str | None:
    """The arms as an event has them; None of a shopper who is in no experiment.

    Args:
      arms: experiment -> arm.
    """
    return _BETWEEN.join(_IS.join(pair) for pair in arms.items()) or None


def read_label(label: str | None) -> dict[str, str]:
    """Experiment -> arm; what is no label has none."""
    pairs = (part.partition(_IS) for part in (label or "").split(_BETWEEN))
    return {experiment: arm for experiment, found, arm in pairs if found}
