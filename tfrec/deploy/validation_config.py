"""Limits that new data must keep before anything is learned of it."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from tfrec.config import Section

Share = Annotated[float, Field(ge=0, le=1)]
"""From 0 to 1; a limit of 1 allows anything."""


class FeatureLimits(Section):
    """What is allowed of one feature; what is left out is as for all.

    Attributes:
      missing: largest share of rows without a value.
      new_values: largest share of a later split's values that training has never seen, of a
        category; one with more than a million values is not checked.
      drift: how far the feature may be spread otherwise than in training, or in the last run's
        training rows: of a category, the largest change of any value's share; of a number, the
        Jensen-Shannon divergence.
    """

    missing: Share | None = None
    new_values: Share | None = None
    drift: Share | None = None


class ValidationLimits(Section):
    """The `pipeline.validation` section: what is allowed of every feature, by default.

    Attributes:
      missing: see `FeatureLimits`; by default, only a feature that no row has is refused.
      new_values: as there.
      drift: as there.
      features: limits by feature, in place of the others.
    """

    missing: Share = 0.999
    new_values: Share = 0.5
    drift: Share = 0.5
    features: Mapping[str, FeatureLimits] = {}

    def of(self, feature: str) -> FeatureLimits:
        """All limits of a feature."""
        own = self.features.get(feature, FeatureLimits()).model_dump(exclude_none=True)
        return FeatureLimits(**{**self.model_dump(exclude={"features"}), **own})
