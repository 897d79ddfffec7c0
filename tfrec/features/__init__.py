"""The single description of columns, and all that it compiles to."""

from tfrec.features.spec import Categorical, Feature, FeatureSpec, Role, Sequence

__all__ = ["Categorical", "Feature", "FeatureSpec", "Role", "Sequence"]
