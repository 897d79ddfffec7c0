"""The single description of columns, and all that it compiles to."""

from tfrec.features.spec import (
    Categorical,
    Feature,
    FeatureSpec,
    MultiCategorical,
    Numeric,
    Role,
    Sequence,
    Text,
    Vector,
)

__all__ = [
    "Categorical",
    "Feature",
    "FeatureSpec",
    "MultiCategorical",
    "Numeric",
    "Role",
    "Sequence",
    "Text",
    "Vector",
]
