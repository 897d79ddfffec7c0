from shop import Shop

from tfrec.config import validate
from tfrec.features import FeatureSpec
from tfrec.pipelines.parameters import from_parameter, section, to_parameter
from tfrec.retrieval.config import IndexConfig
from tfrec.stages.experiment import ExperimentConfig


def test_sections_come_back_as_they_were_in_the_order_of_the_config(shop: Shop) -> None:
    content = {**shop.config(), "index": {"kind": "brute_force"}}
    config = validate(ExperimentConfig, content)

    parameter = to_parameter(config, "features", "index", of="shoppers")

    assert section(parameter, "index", IndexConfig) == config.index
    features = section(parameter, "features", FeatureSpec)
    assert features == config.features
    assert list(features.root) == list(config.features.root)
    assert from_parameter(parameter).keys() == {"features", "index", "of"}
