import pytest
from tfx.types.standard_artifacts import InfraBlessing, ModelBlessing

from tfrec.pipelines.blessings import NotBlessedError, bless, refuse_unblessed


def test_a_model_that_all_bless_passes() -> None:
    blessings = {"ModelEvaluator": ModelBlessing(), "BundleValidator": InfraBlessing()}
    for blessing in blessings.values():
        bless(blessing, True, "all is well")

    refuse_unblessed(blessings)


def test_all_who_refuse_are_named_with_their_reasons() -> None:
    blessings = {name: ModelBlessing() for name in ("ModelEvaluator", "Evaluator", "Other")}
    bless(blessings["ModelEvaluator"], False, "recall@10 above 0.9: broken")
    bless(blessings["Evaluator"], True, "all thresholds are reached")
    blessings["Other"].uri = "/blessings/7"  # whoever made it did not say anything

    with pytest.raises(NotBlessedError) as caught:
        refuse_unblessed(blessings)

    assert str(caught.value) == (
        "the model is not blessed and nothing is pushed: "
        "ModelEvaluator: recall@10 above 0.9: broken; Other: see /blessings/7"
    )
    assert caught.value.exit_status == 1
