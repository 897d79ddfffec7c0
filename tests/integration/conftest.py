"""One whole run over a small shop, on a cluster of processes, that several tests look at."""

import pytest
from command import WIDE, Run, tfrec
from shop import make_shop


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    shop = make_shop(tmp_path_factory.mktemp("run"))
    cluster = {"strategy": "parameter_server", "workers": 2, "parameter_servers": 2}
    # Wide enough to be cut into two shards of the least size.
    wide = {"sku": {"role": "item", "kind": "categorical", "embedding": WIDE}}
    config = shop.write_config(training=cluster, features=wide)
    done = tfrec("run", config)
    assert done.returncode == 0, done.stderr
    return Run(shop, config, done.stdout)
