from pathlib import Path

import pytest
from tfx.types import Artifact
from tfx.types.standard_artifacts import InfraBlessing, Model

from tfrec.errors import UserError
from tfrec.pipelines.components import bundle_validator
from tfrec.serving.verify import Checked
from tfrec.stages.artifact import Manifest

FINE = Checked("recommend", 100, 0.0, 1.0, "")
WRONG = Checked("rank", 20, 0.5, None, "request 3 of 20 differs")


@pytest.fixture
def bundle(tmp_path: Path) -> Model:
    manifest = Manifest(
        stage="export", id="1", digest="2", config={}, inputs={}, versions={}, seconds=0,
        peak_memory_bytes=0, summary={"name": "shop", "version": 7},
    )  # fmt: skip
    (tmp_path / "manifest.json").write_text(manifest.model_dump_json())
    model = Model()
    model.uri = str(tmp_path)
    return model


@pytest.mark.parametrize(
    ("served", "blessed", "because"),
    [
        ([FINE, FINE], 1, "200 requests were answered as by the trained model"),
        ([FINE, WRONG], 0, "rank: request 3 of 20 differs; it does not answer as the model"),
        (UserError("shop: cannot be served: no such op"), 0, "shop: cannot be served: no such op"),
    ],
)
def test_a_bundle_is_blessed_as_it_was_served(
    bundle: Model,
    served: list[Checked] | UserError,
    blessed: int,
    because: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check(version: Path) -> list[Checked]:
        assert version == Path(bundle.uri) / "shop" / "7"
        if isinstance(served, UserError):
            raise served
        return served

    monkeypatch.setattr(bundle_validator, "check_served", check)
    blessing: Artifact = InfraBlessing()

    executor = bundle_validator.BundleValidator.EXECUTOR_SPEC.executor_class
    executor._FUNCTION(bundle=bundle, blessing=blessing)

    assert blessing.get_int_custom_property("blessed") == blessed
    assert because in blessing.get_string_custom_property("because")
