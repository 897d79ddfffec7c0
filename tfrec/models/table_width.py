"""The width of vectors that are compared as they come from their tables."""

from collections.abc import Sequence

from tfrec.errors import UserError
from tfrec.models.base import ModelInputs
from tfrec.models.retrieval import RetrievalTemplate


def with_table_width(
    inputs: ModelInputs, names: Sequence[str], settings: RetrievalTemplate.Settings
) -> RetrievalTemplate.Settings:
    """Sets `embedding_dim` to the width of features that no network brings to it.

    Args:
      inputs: tells the features and their tables.
      names: the features whose embeddings are to be as wide as each other.
      settings: the template's.

    Returns:
      The settings with that width.

    Raises:
      UserError: if a feature has no embedding, or widths differ from each other or from an
        `embedding_dim` that was given.
    """
    spec, tables = inputs.spec, inputs.tables
    without = [name for name in names if spec.table_of(name) not in tables]
    if without:
        raise UserError(
            f"features.{without[0]}: it has no embedding, and this template adds embeddings up; "
            "leave it out or bucketise it with one"
        )
    widths = {name: tables[spec.table_of(name)].dim for name in names}
    wanted = next(iter(widths.values()))
    for name, width in widths.items():
        if width != wanted:
            raise UserError(
                f"features.{name}.embedding: {width} is not the {wanted} of {names[0]}; "
                "this template needs one width"
            )
    if "embedding_dim" in settings.model_fields_set and settings.embedding_dim != wanted:
        raise UserError(
            f"model.embedding_dim: {settings.embedding_dim} is not the {wanted} floats of "
            f"features.{names[0]}.embedding, which this template compares as they are; leave it out"
        )
    return settings.model_copy(update={"embedding_dim": wanted})
