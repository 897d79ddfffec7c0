"""One whole run over a small shop, on a cluster of processes, that several tests look at."""

import pytest
from command import LONG, Run, tfrec
from shop import make_shop


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    shop = make_shop(tmp_path_factory.mktemp("run"))
    cluster = {"strategy": "parameter_server", "workers": 2, "parameter_servers": 2}
    category = {"kind": "categorical", "embedding": 8}
    long = {
        "sku": {"role": "item", **category, "unknown_rows": LONG},
        "shopper": {"role": "user", **category, "lookup": "dynamic", "rows": 500, "min_count": 2},
    }
    config = shop.write_config(training=cluster, features=long, serving={"filters": ["aisle"]})
    done = tfrec("run", config)
    assert done.returncode == 0, done.stderr
    return Run(shop, config, done.stdout)
