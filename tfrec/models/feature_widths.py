"""How many floats a feature has once it is embedded."""

from tfrec.errors import UserError
from tfrec.features import FeatureSpec


def table_widths(spec: FeatureSpec) -> dict[str, int]:
    """The features that are embedded by a table, and the floats of its rows."""
    return {
        name: width
        for name in spec.inputs
        if (width := getattr(spec[spec.table_of(name)], "embedding", None)) is not None
    }


def number_features(spec: FeatureSpec) -> list[str]:
    """The features that no table embeds: numbers, and vectors made elsewhere."""
    tables = table_widths(spec)
    return [name for name in spec.inputs if name not in tables]


def total_width(spec: FeatureSpec) -> int:
    """Floats of all features together."""
    numbers = [getattr(spec[name], "dim", 1) for name in number_features(spec)]
    return sum(table_widths(spec).values()) + sum(numbers)


def common_width(spec: FeatureSpec, template: str, least: int = 1) -> int:
    """The width of all features that a table embeds.

    Args:
      spec: the features.
      template: what needs them alike, for the message.
      least: floats that it needs.

    Raises:
      UserError: if there is none, if it is too small, or if features differ.
    """
    widths = table_widths(spec)
    if not widths:
        raise UserError(
            f"model.template: {template} multiplies embedded features, and none has an embedding; "
            "give one, e.g. embedding: 16"
        )
    if len(set(widths.values())) > 1:
        told = ", ".join(f"{name} has {width}" for name, width in widths.items())
        raise UserError(
            f"model.template: {template} needs features of one embedding width, and {told}; "
            f"set them all to e.g. embedding: {max(widths.values())}"
        )
    (width,) = set(widths.values())
    if width < least:
        raise UserError(
            f"model.template: {template} needs rows of at least {least} floats; "
            f"embedding is {width}, raise it"
        )
    return width
