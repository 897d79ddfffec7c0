from pathlib import Path

import pytest

from tfrec.deploy import served_version
from tfrec.deploy.served_version import batchable, check_server
from tfrec.errors import UserError


def test_signatures_are_sorted_by_how_they_take_to_batches(version):
    found = batchable(version)

    assert found.batched == ("count", "serving_default")
    assert found.alike == ("count",)
    assert found.refused == ("top", "total")


@pytest.mark.parametrize("server", ["tensorflow_serving", "tfrec"])
def test_both_servers_take_a_version_in_tensorflows_own_operations(version, server):
    check_server(version, server)


@pytest.fixture
def with_scann(monkeypatch):
    monkeypatch.setattr(served_version, "foreign_ops", lambda _: ["Scann>A", "Scann>B"])


def test_stock_server_is_refused_operations_of_scann_and_the_twin_is_named(version, with_scann):
    with pytest.raises(UserError) as caught:
        check_server(version, "tensorflow_serving", Path("twin/shop/3"))

    assert f"{version}: needs Scann>A, Scann>B, which tensorflow_serving lacks" in str(caught.value)
    assert str(caught.value).endswith("; render its twin, twin/shop/3, or give --server tfrec")


def test_without_a_twin_another_index_is_the_remedy(version, with_scann):
    with pytest.raises(UserError, match=r"tfrec, or export it with index\.runs_on: tensor"):
        check_server(version, "tensorflow_serving")


def test_embedded_server_has_the_operations_of_scann(version, with_scann):
    check_server(version, "tfrec")


def test_operations_that_no_server_has_are_refused(version, monkeypatch):
    monkeypatch.setattr(served_version, "foreign_ops", lambda _: ["Other>Op"])

    with pytest.raises(UserError, match="needs Other>Op, which tfrec lacks"):
        check_server(version, "tfrec")
