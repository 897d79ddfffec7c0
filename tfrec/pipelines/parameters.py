"""Sections of a config as an executor's parameter, and back."""

import json
from collections.abc import Mapping
from typing import Any

from tfrec.config import SectionT, validate
from tfrec.stages.experiment import ExperimentConfig


def to_parameter(config: ExperimentConfig, *sections: str, **others: Any) -> str:
    """Writes sections so that equal ones are equal strings, which TFX's cache compares.

    Features stay in their order, which decides what weights a model begins with.

    Args:
      config: the experiment.
      sections: names of those that the component reads; a change of others does not run it again.
      others: what else it reads, as plain values.

    Returns:
      JSON of name -> section.
    """
    content = config.model_dump(mode="json", include=set(sections)) | others
    return json.dumps(content)


def from_parameter(parameter: str) -> Mapping[str, Any]:
    """The sections in a parameter, as `validate` takes them."""
    return json.loads(parameter)


def section(parameter: str, name: str, kind: type[SectionT]) -> SectionT:
    """Validates a section of a parameter.

    Args:
      parameter: as `to_parameter` wrote it.
      name: of the section.
      kind: its class.
    """
    return validate(kind, from_parameter(parameter)[name], name)
