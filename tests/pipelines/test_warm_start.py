from typing import Any

import pytest
from shop import Shop

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.pipelines.parameters import from_parameter
from tfrec.pipelines.pipeline import build
from tfrec.stages.experiment import ExperimentConfig

TRIED = {"ranges": {"model.temperature": {"low": 0.02, "high": 0.5}}}


def config(shop: Shop, warm_start: bool = True, **sections: Any) -> ExperimentConfig:
    content = {**shop.config(), "pipeline": {"warm_start": warm_start}}
    for name, values in sections.items():
        content[name] = {**content.get(name, {}), **values}
    return validate(ExperimentConfig, content)


def goes_on(built: ExperimentConfig) -> dict[str, str]:
    components = {one.id: one for one in build(built, local=False).components}
    return from_parameter(components["ExampleWriter"].exec_properties["config"])["goes_on"]


def test_a_run_that_learns_on_knows_where_the_model_is_served(shop: Shop) -> None:
    served = str(shop.folder / "serving" / "shop")
    assert goes_on(config(shop)) == {"served": served, "learned": "None"}


def test_a_run_that_learns_anew_is_no_other_one_when_a_version_was_pushed(shop: Shop) -> None:
    assert goes_on(config(shop, warm_start=False)) == {}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"split": {"kind": "leave_last_out"}}}, "data.split: only time has new days"),
        ({"training": {"warm_start": "runs/monday"}}, "training.warm_start: names another model"),
        ({"tuning": TRIED}, "tuning: tries models that learn anew"),
    ],
    ids=["split", "another model", "tuning"],
)
def test_what_warm_start_does_not_go_with_is_named(
    shop: Shop, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        build(config(shop, **sections), local=False)
    assert str(caught.value).startswith(f"pipeline.warm_start: does not go with {message}")
