"""A bundle -> whether a server loads it and answers as the trained model."""

from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import InfraBlessing, Model

from tfrec.errors import UserError
from tfrec.pipelines.blessings import bless
from tfrec.pipelines.reporting import reporter
from tfrec.pipelines.served_check import check_served
from tfrec.serving.verify import refuse_faults
from tfrec.stages.export import ServingBundle


@component
def BundleValidator(
    bundle: InputArtifact[Model],
    blessing: OutputArtifact[InfraBlessing],
) -> None:
    """Serves the bundle and asks it the requests that were stored at export.

    Args:
      bundle: what BundleExporter made.
      blessing: receives the verdict.
    """
    version = ServingBundle(Path(bundle.uri)).version
    reporter().step("starting a server")
    try:
        checked = check_served(version)
        refuse_faults(version, checked)
    except UserError as error:
        bless(blessing, False, str(error))
    else:
        asked = sum(one.requests for one in checked)
        bless(blessing, True, f"{asked} requests were answered as by the trained model")
