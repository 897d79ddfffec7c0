"""Learning on from the model that is served: from its weights, and from the days since."""

import json
from pathlib import Path
from typing import NamedTuple

from tfrec.data.prepared import TRAIN, PreparedData
from tfrec.errors import UserError
from tfrec.stages.artifact import Artifact
from tfrec.training.config import TrainingConfig

GOES_ON = "goes_on"
"""Key of a manifest's summary, where prepared data hold only what is new since a model."""

_FILE = Path("assets.extra", "tfrec_learned.json")


class Learned(NamedTuple):
    """What the model of a version has learned from.

    Attributes:
      model: its training artefact.
      until: the first moment, in seconds since 1970, of which it has seen nothing.
    """

    model: str
    until: int


def write_learned(version: Path, trained: Artifact, prepared: Artifact) -> None:
    """Keeps with a version that is not served yet what a later run can go on from.

    Args:
      version: its directory.
      trained: the training artefact of its model.
      prepared: the data that it was trained on.
    """
    last = PreparedData(prepared.path).parts[TRAIN].last
    assert last is not None  # nothing is trained on no examples
    file = version / _FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(Learned(str(trained.path.resolve()), last + 1)._asdict()))


def newest_learned(model: Path) -> Learned | None:
    """Reads what the newest version of a model has learned from.

    Args:
      model: its directory below the model root.

    Returns:
      Its training; none before the first version that says.

    Raises:
      UserError: if the training artefact is gone.
    """
    versions = sorted((int(file.parts[-3]), file) for file in model.glob(f"[0-9]*/{_FILE}"))
    if not versions:
        return None
    learned = Learned(**json.loads(versions[-1][1].read_text()))
    if not Path(learned.model).is_dir():
        raise UserError(
            f"pipeline.warm_start: {learned.model}: of version {versions[-1][0]}, is gone; "
            "run once with --pipeline.warm_start false"
        )
    return learned


def going_on(config: TrainingConfig, prepared: Artifact) -> TrainingConfig:
    """Lets training start from the model that prepared data are the sequel of.

    Args:
      config: the `training` section.
      prepared: the data.

    Returns:
      The section, with `warm_start` where they are a sequel.
    """
    sequel = prepared.manifest.summary.get(GOES_ON)
    return config.model_copy(update={"warm_start": Path(sequel["model"])}) if sequel else config
