"""A TFX pipeline of two components, of which the second breaks as it is told to."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline

from tfrec.errors import UserError
from tfrec.pipelines.artifacts import Evaluation
from tfrec.pipelines.reporting import reporter


@component
def Maker(word: Parameter[str], made: OutputArtifact[Evaluation]) -> None:  # noqa: N802
    reporter().step(f"making {word}")
    (Path(made.uri) / "word").write_text(word)


@component
def Breaker(  # noqa: N802
    orders: Parameter[str], made: InputArtifact[Evaluation], read: OutputArtifact[Evaluation]
) -> None:
    """Breaks as a file says, which is no part of what TFX compares."""
    (Path(read.uri) / "word").write_text((Path(made.uri) / "word").read_text())
    order = Path(orders).read_text()
    if order == "mistake":
        raise UserError("data.events: no such thing; mend it")
    if order == "crash":
        raise RuntimeError("a bug")


def two_components(folder: Path, word: str = "tea") -> Pipeline:
    maker = Maker(word=word)
    breaker = Breaker(orders=str(folder / "orders"), made=maker.outputs["made"])
    return Pipeline(
        "two",
        str(folder / "root"),
        sqlite_metadata_connection_config(str(folder / "metadata.sqlite")),
        [maker, breaker],
        enable_cache=True,
    )
