"""The toy shop, for steps that are tried alone."""

import pytest
from gateway_shop import make_shop, write_assortment

from tfrec.config import validate
from tfrec.service.config import ServiceConfig
from tfrec.service.flow.shop import Shop


@pytest.fixture(scope="session")
def toy_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The toy shop, which tests only read."""
    folder = tmp_path_factory.mktemp("toy-shop")
    content = {"folder": str(folder), "assortment": write_assortment(folder)}
    return make_shop(folder, validate(ServiceConfig, content, "service"))
