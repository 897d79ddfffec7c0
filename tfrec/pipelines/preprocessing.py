"""The features' preprocessing function, as TFX's Transform asks for it."""

from collections.abc import Mapping
from typing import Any

from tfrec.config import validate
from tfrec.data.preprocessing import compile_preprocessing
from tfrec.features import FeatureSpec
from tfrec.features.transform import Column, Tensors


def preprocessing_fn(inputs: Tensors, custom_config: Mapping[str, Any]) -> dict[str, Column]:
    """Transforms a batch of raw columns.

    Args:
      inputs: columns by name.
      custom_config: holds the section `features`, and `preprocessing` of the section `data`.
    """
    spec = validate(FeatureSpec, custom_config["features"], "features")
    return compile_preprocessing(spec, custom_config["preprocessing"])(inputs)
