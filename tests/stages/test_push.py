from pathlib import Path

import pytest
import yaml
from shop import Shop

from tfrec.errors import UserError
from tfrec.evaluation.blessing import Verdict
from tfrec.stages.artifact import produce
from tfrec.stages.experiment import Experiment


def test_a_model_that_is_not_blessed_is_not_pushed_and_the_rule_is_named(
    shop: Shop, tmp_path: Path
) -> None:
    rules = [{"metric": "recall@5", "over": "popularity"}]
    config = {**shop.config(evaluation={"bless": rules}), "runs": str(tmp_path / "runs")}
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump(config))
    experiment = Experiment.load(file)
    verdict = Verdict(blessed=False, because="recall@10 is broken", rules=("recall@10 is broken",))
    summary = {"blessing": verdict.model_dump(mode="json")}
    produce("evaluate", {}, {}, experiment.evaluation.path, lambda _: summary)

    with pytest.raises(UserError, match=r"^push: .* not blessed .*: recall@10 is broken$"):
        experiment.push()
