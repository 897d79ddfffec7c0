import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from service_shop import ServiceShop

from tfrec.service import metrics
from tfrec.service.api import Slate, SlateItem
from tfrec.service.coverage import Coverage
from tfrec.service.feature_store import StoreError
from tfrec.service.intake import Intake
from tfrec.service.sqlite_store import SqliteStore

Sample = tuple[str, frozenset[tuple[str, str]]]
Growth = Callable[[], dict[Sample, float]]


def values() -> dict[Sample, float]:
    content, _ = metrics.render()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
        if sample.name.startswith("tfrec_gateway_")
    }


@pytest.fixture
def growth() -> Growth:
    """What was counted since the test began: the process counts for all tests together."""
    before = values()
    return lambda: {
        key: value - before.get(key, 0)
        for key, value in values().items()
        if value != before.get(key, 0)
    }


def key(name: str, **labels: str) -> Sample:
    return f"tfrec_gateway_{name}", frozenset(labels.items())


def slate(*ids: str, **changes: Any) -> Slate:
    """A slate whose items of even places are popular ones, and the others of the model."""
    items = tuple(
        SlateItem(
            id=id_, name=id_, position=place, score=None,
            source="popular" if place % 2 == 0 else "retrieval",
        )
        for place, id_ in enumerate(ids, 1)
    )  # fmt: skip
    return Slate(**{"request_id": "r", "scenario": "home", "items": items, **changes})


def test_a_slate_is_counted_with_its_time_its_length_and_its_sources(growth: Growth) -> None:
    metrics.observe_slate(slate("a", "b", "c"), 0.004)

    grown = growth()
    assert grown[key("requests_total", scenario="home", status="ok")] == 1
    assert grown[key("request_duration_seconds_sum", scenario="home")] == pytest.approx(0.004)
    bucket = "request_duration_seconds_bucket"
    assert key(bucket, scenario="home", le="0.0025") not in grown
    assert grown[key(bucket, scenario="home", le="0.005")] == 1
    assert grown[key(bucket, scenario="home", le="+Inf")] == 1
    assert grown[key("slate_items_sum", scenario="home")] == 3
    assert grown[key("items_shown_total", scenario="home", source="retrieval")] == 2
    assert grown[key("items_shown_total", scenario="home", source="popular")] == 1


def test_fallbacks_are_counted_by_the_part_that_was_not_there(growth: Growth) -> None:
    fallbacks = ("ranker: retrieval order", "store: cold start")
    metrics.observe_slate(slate("a", fallbacks=fallbacks), 0.001)

    grown = growth()
    assert grown[key("requests_total", scenario="home", status="fallback")] == 1
    assert key("requests_total", scenario="home", status="ok") not in grown
    assert grown[key("fallbacks_total", part="ranker")] == 1
    assert grown[key("fallbacks_total", part="store")] == 1


def test_an_empty_slate_is_counted_by_the_filter_that_emptied_it(growth: Growth) -> None:
    metrics.observe_slate(slate(emptied_by="most: price"), 0.001)

    grown = growth()
    assert grown[key("empty_slates_total", filter="most")] == 1
    assert grown[key("slate_items_bucket", scenario="home", le="0.0")] == 1


def test_steps_are_timed_but_not_those_of_an_answer_of_before(growth: Growth) -> None:
    timed = slate("a", timings={"gather": 0.2, "rank": 30.0})
    metrics.observe_slate(timed, 0.031)
    metrics.observe_slate(timed.model_copy(update={"cached": True}), 0.0001)

    grown = growth()
    rank = {"scenario": "home", "step": "rank"}
    assert grown[key("step_duration_seconds_count", **rank)] == 1
    assert grown[key("step_duration_seconds_sum", **rank)] == pytest.approx(0.03)
    assert key("step_duration_seconds_bucket", **rank, le="0.025") not in grown
    assert grown[key("step_duration_seconds_bucket", **rank, le="0.05")] == 1
    assert grown[key("requests_total", scenario="home", status="ok")] == 2


def test_items_shown_again_and_again_count_once_for_coverage(growth: Growth) -> None:
    metrics.observe_slate(slate("new-1", "new-2", scenario="reorder"), 0.001)
    metrics.observe_slate(slate("new-2", "new-3", scenario="reorder"), 0.001)

    assert growth()[key("shown_items", scenario="reorder")] == 3


def test_coverage_forgets_after_two_windows() -> None:
    now = 0.0
    coverage = Coverage(window_seconds=10, clock=lambda: now)

    coverage.add(["a", "b"])
    now = 9.0
    coverage.add(["b", "c"])
    assert coverage.count() == 3
    now = 11.0
    coverage.add(["d"])
    assert coverage.count() == 4
    now = 20.0
    assert coverage.count() == 1
    now = 100.0
    assert coverage.count() == 0


def test_only_the_version_that_answers_is_there() -> None:
    metrics.observe_slate(slate("a", models={"films": "1", "ranker": "7"}), 0.001)
    metrics.observe_slate(slate("a", models={"films": "2", "ranker": "7"}), 0.001)

    found = values()
    assert found[key("model_info", model="films", version="2")] == 1
    assert found[key("model_info", model="ranker", version="7")] == 1
    assert key("model_info", model="films", version="1") not in found


def test_a_request_without_a_slate_is_counted_by_what_became_of_it(growth: Growth) -> None:
    metrics.count_refusal("similar", "unknown_item")

    assert growth() == {key("requests_total", scenario="similar", status="unknown_item"): 1}


def test_answers_of_http_are_counted_by_route_and_status(growth: Growth) -> None:
    metrics.observe_http("/v1/users/{user}", "GET", 404, 0.002)

    grown = growth()
    assert grown[
        key("http_requests_total", route="/v1/users/{user}", method="GET", status="404")
    ] == 1  # fmt: skip
    assert grown[key("http_request_duration_seconds_count", route="/v1/users/{user}")] == 1


def test_scores_of_all_candidates_are_counted_by_size(growth: Growth) -> None:
    metrics.observe_scores("click", np.array([0.0, 0.05, 0.1, 0.95, np.nan, -20, 30]))

    grown = growth()
    at_most = {
        dict(labels)["le"]: count
        for (name, labels), count in grown.items()
        if name == "tfrec_gateway_score_bucket"
    }
    assert at_most["-10.0"] == 1
    assert at_most["0.0"] == 2
    assert at_most["0.1"] == 4
    assert at_most["1.0"] == 5
    assert at_most["10.0"] == 5
    assert at_most["+Inf"] == 7


def test_a_breaker_has_one_state() -> None:
    metrics.set_breaker("ranker", "closed")
    metrics.set_breaker("ranker", "open")

    found = values()
    states = {s: found[key("breaker_state", part="ranker", state=s)] for s in ("closed", "open")}
    assert states == {"closed": 0, "open": 1}
    assert found[key("breaker_state", part="ranker", state="half_open")] == 0


def test_what_clients_send_as_type_is_no_label_unless_it_is_one(growth: Growth) -> None:
    metrics.count_event("click", "accepted")
    metrics.count_event("stare", "rejected")
    metrics.count_event({"no": "text"}, "rejected")

    assert growth() == {
        key("events_total", type="click", verdict="accepted"): 1,
        key("events_total", type="other", verdict="rejected"): 2,
    }


def test_the_other_counts_have_their_labels(growth: Growth) -> None:
    metrics.observe_candidates("retrieval", 200)
    metrics.count_cache("memory", found=True)
    metrics.count_cache("memory", found=False)
    metrics.count_coalesced()
    metrics.count_known("item", known=3, unknown=1)
    metrics.count_outcome("ranking", "new", "click", 2)
    metrics.count_dropped_exposures(5)
    metrics.note_reload(succeeded=False)

    grown = growth()
    assert grown[key("candidates_sum", source="retrieval")] == 200
    assert grown[key("cache_lookups_total", cache="memory", result="hit")] == 1
    assert grown[key("cache_lookups_total", cache="memory", result="miss")] == 1
    assert grown[key("coalesced_requests_total")] == 1
    assert grown[key("lookups_total", kind="item", known="true")] == 3
    assert grown[key("lookups_total", kind="item", known="false")] == 1
    assert grown[key("arm_events_total", experiment="ranking", arm="new", type="click")] == 2
    assert grown[key("exposures_dropped_total")] == 5
    assert grown[key("experiment_reloads_total", result="failed")] == 1
    assert values()[key("experiments_reloaded")] == 0
    metrics.note_reload(succeeded=True)
    assert values()[key("experiments_reloaded")] == 1


def test_too_many_labels_are_counted_as_other() -> None:
    script = """
from tfrec.service import metrics
for number in range(700):
    metrics.count_outcome("many", f"arm-{number}", "click")
    metrics.observe_candidates(f"source-{number}", 1)
print(metrics.render()[0].decode())
"""
    # In a process of its own: what is full stays full for all tests.
    run = [sys.executable, "-c", script]
    text = subprocess.run(run, capture_output=True, text=True, timeout=120, check=True).stdout

    counts = {
        family.name: {
            "other" if "other" in sample.labels.values() else str(sample.labels): sample.value
            for sample in family.samples
            if sample.name.endswith(("_total", "_count"))
        }
        for family in text_string_to_metric_families(text)
    }
    for name in ("tfrec_gateway_arm_events", "tfrec_gateway_candidates"):
        assert len(counts[name]) == 501
        assert counts[name]["other"] == 200


def test_counts_of_several_threads_are_all_there(growth: Growth) -> None:
    def run() -> None:
        for _ in range(300):
            metrics.observe_slate(slate("a", scenario="search"), 0.001)
            metrics.observe_scores("purchase", np.full(10, 0.5))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    grown = growth()
    assert grown[key("requests_total", scenario="search", status="ok")] == 1200
    assert grown[key("request_duration_seconds_count", scenario="search")] == 1200
    assert grown[key("score_bucket", task="purchase", le="+Inf")] == 12_000


@pytest.mark.parametrize("accept", [None, "", "text/plain;version=0.0.4", "*/*"])
def test_the_text_format_is_the_default(accept: str | None) -> None:
    content, content_type = metrics.render(accept)

    assert content_type.startswith("text/plain; version=0.0.4")
    names = {family.name for family in text_string_to_metric_families(content.decode())}
    assert {"tfrec_gateway_requests", "process_resident_memory_bytes"} <= names
    assert b"_created" not in content


def test_openmetrics_where_it_is_asked_for() -> None:
    metrics.observe_scores("click", np.array([0.5]))
    metrics.observe_slate(slate("a"), 0.001)

    content, content_type = metrics.render(
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    )

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert content.endswith(b"# EOF\n")
    names = {family.name for family in openmetrics_families(content.decode())}
    assert {"tfrec_gateway_requests", "tfrec_gateway_score"} <= names


def test_events_wait_for_the_disk_and_no_longer(service_shop: ServiceShop, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "features.sqlite", service_shop.online)
    with Intake(tmp_path / "events", service_shop.online, store) as intake:
        before = values()[key("events_waiting")]
        intake.take([{"id": "1", "type": "click", "user": "u", "item": "item-1"}])
        assert values()[key("events_waiting")] == before
    store.close()


def test_a_store_that_fails_is_behind_until_it_has_caught_up(
    service_shop: ServiceShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path / "features.sqlite", service_shop.online)

    def fail(*_: object) -> None:
        raise StoreError("away")

    with Intake(tmp_path / "events", service_shop.online, store) as intake:
        assert values()[key("store_behind")] == 0
        with monkeypatch.context() as patch:
            patch.setattr(store, "apply", fail)
            intake.take([{"id": "1", "type": "click", "user": "u", "item": "item-1"}])
            assert values()[key("store_behind")] == 1
        assert intake.catch_up()
        assert values()[key("store_behind")] == 0
    store.close()
