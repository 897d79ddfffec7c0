"""The files in `configs/monitoring`, and what real programs make of them."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from monitored_service import GATEWAY, MonitoredService
from monitoring_programs import (
    MONITORING,
    Prometheus,
    Receiver,
    program,
    running_alertmanager,
    running_prometheus,
    running_receiver,
    wait_for,
)

from tfrec.service import metrics
from tfrec.service.api import Slate, SlateItem
from tfrec.serving import monitoring

DASHBOARD = json.loads((MONITORING / "grafana/dashboards/tfrec.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
# A metric of the service or of the model server, or a recorded one; and what is chosen of it.
NAMED = re.compile(r"((?<![\w:])(?:tfrec_gateway_|:tensorflow:|\w+:tfrec_)[\w:]+)(\{[^}]*\})?")


def note_everything() -> None:
    """Gives every metric of the service and of the model server a value, or one more."""
    items = (SlateItem(id="a", name="a", position=1, score=1, source="retrieval"),)
    slate = {"request_id": "r", "scenario": "home", "timings": {"rank": 3}, "models": {"m": "1"}}
    metrics.observe_slate(Slate(**slate, items=items), 0.004)
    metrics.observe_slate(
        Slate(**slate, items=(), emptied_by="stock", fallbacks=("ranker: retrieval order",)), 0.004
    )
    metrics.observe_http("/v1/recommendations", "POST", 200, 0.005)
    metrics.observe_candidates("retrieval", 100)
    metrics.observe_scores("click", np.linspace(0, 1, 100))
    metrics.count_cache("memory", found=True)
    metrics.count_coalesced()
    metrics.set_breaker("ranker", "closed")
    metrics.count_known("user", known=3, unknown=1)
    for verdict in ("accepted", "rejected"):
        metrics.count_event("click", verdict)
    for event_type in ("impression", "click", "purchase"):
        metrics.count_outcome("ranking", "new", event_type)
    metrics.note_reload(succeeded=True)
    metrics.set_catalogue(10)
    monitoring.count_request("films", "OK")
    monitoring.observe_request("films", "Predict", "GRPC", 0.003)
    monitoring.observe_batch(8, 2)
    monitoring.observe_load(Path("/models/films/1"), None)


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """Name of a metric, as it is scraped or recorded -> its labels."""
    note_everything()
    text = (metrics.render()[0] + monitoring.render_metrics()).decode()
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        name, _, cell = line.partition("{")
        if not line.startswith("#"):
            found.setdefault(name.partition(" ")[0], set()).update(re.findall(r'(\w+)="', cell))
    for name in RECORDED:
        found[name] = set(name.partition(":")[0].split("_"))
    return found


def expressions() -> list[str]:
    """What the dashboard asks, with a value for each of its variables."""
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    values = {"$__rate_interval": "15s", "$scenario": ".*"}
    for name, value in values.items():
        asked = [expression.replace(name, value) for expression in asked]
    assert not any("$" in expression for expression in asked)
    return asked


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("file", ["alerts_test.yaml", "alerts_days_test.yaml"])
def test_each_story_of_the_alerts_ends_as_it_says(file: str) -> None:
    assert "SUCCESS" in run(program("promtool"), "test", "rules", str(MONITORING / file))


def test_each_alert_has_stories_in_which_it_fires_and_in_which_it_does_not() -> None:
    files = ("alerts_test.yaml", "alerts_days_test.yaml")
    tests = [
        test for file in files for test in yaml.safe_load((MONITORING / file).read_text())["tests"]
    ]
    told = [one for test in tests for one in test.get("alert_rule_test", [])]

    alerts = {rule["alert"] for rule in RULES if "alert" in rule}

    assert {one["alertname"] for one in told if one.get("exp_alerts")} == alerts
    assert {one["alertname"] for one in told if not one.get("exp_alerts")} == alerts


def test_promtool_takes_config_and_rules() -> None:
    output = run(
        program("promtool"), "check", "config", "--lint=all", "--lint-fatal",
        str(MONITORING / "prometheus.yaml"),
    )  # fmt: skip
    assert f"{len(RULES)} rules found" in output


def test_amtool_takes_the_config_and_sends_pages_to_who_is_on_call() -> None:
    config = str(MONITORING / "alertmanager.yaml")
    run(program("amtool"), "check-config", config)

    routed = ["amtool", "config", "routes", "test", f"--config.file={config}"]
    assert run(*routed, "severity=page", "alertname=GatewayDown").split() == ["on_call"]
    assert run(*routed, "severity=ticket", "alertname=ModelStale").split() == ["team"]


def test_what_is_asked_for_is_there(labels: dict[str, set[str]]) -> None:
    asked = [*(rule["expr"] for rule in RULES), *expressions()]
    found = [(one, *match) for one in asked for match in NAMED.findall(one)]
    assert len(found) > len(asked)

    unknown = [(name, one) for one, name, _ in found if name not in labels]
    assert unknown == []
    without = [
        (name, label, one)
        for one, name, cell in found
        for label in re.findall(r'(\w+)\s*[=!]~?\s*"', cell)
        if label not in labels[name]
    ]
    assert without == []


def test_the_dashboard_shows_every_metric_of_the_service(labels: dict[str, set[str]]) -> None:
    text = json.dumps(DASHBOARD) + " ".join(rule["expr"] for rule in RULES)
    families = {
        re.sub(r"_(bucket|count|sum|total)$", "", name)
        for name in labels
        if name.startswith("tfrec_gateway_")
    }

    assert {name for name in families if name not in text} == set()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoredService]:
    running = MonitoredService(tmp_path_factory.mktemp("service"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(
    service: MonitoredService, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Scrapes the service once a second, and tells the Alertmanager, which tells the receiver."""
    folders = tmp_path_factory.mktemp("alertmanager"), tmp_path_factory.mktemp("prometheus")
    with (
        running_alertmanager(folders[0], receiver.port) as alertmanager,
        running_prometheus(folders[1], service.ports, alertmanager) as running,
    ):
        wait_for(lambda: len(running.query("up == 1")) == 2, "both are scraped")
        yield running


def test_an_alert_of_fallbacks_fires_while_the_ranker_is_away(
    service: MonitoredService, prometheus: Prometheus, receiver: Receiver
) -> None:
    def ask_until(state: str, name: str) -> dict[str, Any] | None:
        service.recommend("shopper")
        return receiver.heard(name, state)

    assert not service.recommend("shopper")["fallbacks"]

    service.models.faults["rank"] = ConnectionError("away")
    assert service.recommend("shopper")["fallbacks"]
    told = wait_for(lambda: ask_until("firing", "GatewayFallsBack"), "the team is told")
    assert (told["to"], told["by"]) == ("/tickets", "Bearer credentials of team")
    (alert,) = told["alerts"]
    assert alert["labels"]["part"] == "ranker"
    assert alert["annotations"]["summary"].endswith("% of the slates do without ranker.")

    service.models.faults.clear()
    wait_for(lambda: ask_until("resolved", "GatewayFallsBack"), "it is told to be over")
    assert "GatewayFallsBack" not in prometheus.firing()


def test_somebody_is_paged_when_the_service_is_down(
    service: MonitoredService, prometheus: Prometheus, receiver: Receiver
) -> None:
    service.stop(GATEWAY)
    told = wait_for(lambda: receiver.heard("GatewayDown", "firing"), "there is a page")
    assert (told["to"], told["by"]) == ("/pages", "Bearer credentials of on_call")
    assert str(service.ports[GATEWAY]) in told["alerts"][0]["annotations"]["summary"]

    service.start(GATEWAY)
    wait_for(lambda: receiver.heard("GatewayDown", "resolved"), "the page is over")
    assert "GatewayDown" not in prometheus.firing()


def test_the_rules_and_the_dashboard_find_what_the_service_counts(
    service: MonitoredService, prometheus: Prometheus
) -> None:
    def scrapes() -> float:
        query = 'sum(tfrec_gateway_events_total{type="click", verdict="accepted"})'
        return sum(float(one["value"][1]) for one in prometheus.query(query))

    for _ in range(2):  # a rate is of two values
        before = scrapes()
        note_everything()
        wait_for(lambda before=before: scrapes() > before, "the values are scraped")
    recorded = "task_le:tfrec_gateway_score:ratio1h"
    wait_for(lambda: prometheus.query(recorded), "the ratios are recorded")

    asked = [one for one in expressions() if "offset" not in one]
    assert len(asked) > 30
    empty = [one for one in asked if not prometheus.query(one)]
    assert empty == []
    groups = prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
