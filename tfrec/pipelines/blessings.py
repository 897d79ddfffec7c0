"""Whether a candidate may be pushed, on the blessing artefacts that TFX has for it."""

from collections.abc import Mapping

from tfx.types.artifact import Artifact

from tfrec.evaluation.blessing import NotBlessedError

_BLESSED = "blessed"
"""The property that TFX's own components set and read."""

_BECAUSE = "because"


def bless(blessing: Artifact, blessed: bool, because: str) -> None:
    """Writes a verdict on a blessing.

    Args:
      blessing: the output artefact.
      blessed: whether the model may be pushed.
      because: why, in one line.
    """
    blessing.set_int_custom_property(_BLESSED, int(blessed))
    blessing.set_string_custom_property(_BECAUSE, because)


def refuse_unblessed(blessings: Mapping[str, Artifact]) -> None:
    """Lets only a model pass that every component has blessed.

    Args:
      blessings: name of a component -> its blessing.

    Raises:
      NotBlessedError: one line on each that refuses the model.
    """
    refused = [
        f"{name}: {blessing.get_string_custom_property(_BECAUSE) or f'see {blessing.uri}'}"
        for name, blessing in blessings.items()
        if blessing.get_int_custom_property(_BLESSED) != 1
    ]
    if refused:
        reasons = "; ".join(refused)
        raise NotBlessedError(f"the model is not blessed and nothing is pushed: {reasons}")
