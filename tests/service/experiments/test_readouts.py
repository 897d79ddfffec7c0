"""The evaluation room reads what the service has logged."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tfrec.config import override, validate
from tfrec.evaluation.online.config import OnlineConfig
from tfrec.evaluation.online.event_log import read_events
from tfrec.evaluation.online.experiment import read_experiment
from tfrec.evaluation.online.interleaving import read_preference
from tfrec.evaluation.online.off_policy_config import OffPolicyConfig
from tfrec.evaluation.online.off_policy_estimate import estimate
from tfrec.evaluation.online.rounds import read_rounds
from tfrec.service.api import Slate, SlateItem
from tfrec.service.experiments.config import ExperimentsConfig
from tfrec.service.experiments.draws import explore, rank_chances
from tfrec.service.experiments.exposures import Exposures
from tfrec.service.experiments.interleaving import interleave
from tfrec.service.experiments.label import write_label
from tfrec.service.experiments.running import Experiments
from tfrec.service.flow.config import FlowConfig
from tfrec.service.intake import Intake

CONFIGS = Path(__file__).parents[3] / "configs"
PLACES, TEMPERATURE, ITEMS = 3, 2.0, 6
APPEAL = np.array([0.10, 0.15, 0.5, 0.3, 0.1, 0.6])
"""How often an item is clicked that is seen; the shelf ranks them in this order."""
SEEN = np.array([1.0, 0.7, 0.5])
"""How often a place is seen."""
RUNNING = {
    "other": {"arms": {"off": {}, "on": {}}},
    "ranker": {
        "arms": {
            "old": {"flow": {"value": "1 * score"}},
            "new": {"flow": {"value": "0 - score"}},
            "both": {"weight": 2, "interleave": ["old", "new"]},
        }
    },
}
EXPLORATION = {"kind": "plackett_luce", "temperature": TEMPERATURE, "candidates": ITEMS}


class Shop:
    """Shows slates to shoppers who click as `APPEAL` and `SEEN` have it."""

    def __init__(self, intake: Intake, running: Any) -> None:
        content = {"running": running, "exploration": EXPLORATION}
        config = validate(ExperimentsConfig, content)
        self.experiments = Experiments(config, FlowConfig(), lambda flow: flow.value)
        self._exposures = Exposures(intake.submit, self.experiments.count)
        self._intake, self._random = intake, np.random.default_rng(1)
        self._clicks: list[dict[str, Any]] = []
        self._clock = time.time() - 500_000

    def visit(self, shopper: str, request_id: str) -> None:
        self._clock += 2.5
        variant = self.experiments.assign(shopper, None, "home")
        random = self.experiments.random(request_id)
        teams: Sequence[str] = ()
        if variant.teams:
            rankings = [_ranking(team.flow) for team in variant.teams]
            dealt = interleave(rankings[0], rankings[1], PLACES, random)
            items, propensities = dealt.items, dealt.propensities
            teams = [variant.teams[team].label for team in dealt.teams]
        else:
            ranks, propensities = explore(variant.exploration, ITEMS, PLACES, lambda: random)
            items = _ranking(variant.flow)[ranks]
        slate = _slate(request_id, items, propensities, variant.arms)
        self._exposures.note(slate, shopper, None, teams, self._clock)
        for place in np.flatnonzero(self._random.random(PLACES) < APPEAL[items] * SEEN):
            self._clicks.append(
                {
                    "id": f"click-{request_id}-{place}", "type": "click", "user": shopper,
                    "item": f"item-{items[place]}", "time": self._clock + 1,
                    "arm": write_label(variant.arms),
                }
            )  # fmt: skip

    def close(self) -> None:
        self.experiments.close()
        self._exposures.close()
        self._clicks.append(
            {"id": "end", "type": "click", "user": "last", "item": "item-1", "time": time.time()}
        )
        self._intake.take(self._clicks)
        self._intake.close()


def _ranking(value: str | None) -> np.ndarray:
    return np.arange(ITEMS)[:: -1 if value and value.startswith("0") else 1]


def _slate(request_id: str, items: Any, propensities: Any, arms: Any) -> Slate:
    shown = [
        SlateItem(
            id=f"item-{item}", name="", position=place, score=None, source="popular",
            propensity=chance,
        )
        for place, (item, chance) in enumerate(zip(items, propensities, strict=True), 1)
    ]  # fmt: skip
    return Slate(request_id=request_id, scenario="home", items=tuple(shown), arms=arms)


Measure = Callable[..., Any]


@pytest.fixture
def config_of(tmp_path: Path) -> Measure:
    """A config of the project, for the log of this test."""

    def run(section: Any, name: str, **values: str) -> Any:
        text = (CONFIGS / name).read_text().replace("service/events/", f"{tmp_path}/events/")
        content = yaml.safe_load(text)
        return validate(section, override(content, values))

    return run


def test_estimates_from_the_log_hold_what_another_policy_earns(
    intake: Intake, config_of: Measure, tmp_path: Path
) -> None:
    shop = Shop(intake, {})
    for number in range(1000):
        shop.visit(f"shopper-{number % 300}", f"r{number}")
    shop.close()
    chances = rank_chances(ITEMS, PLACES, 4.0)[::-1]  # another order, and more of chance
    table = ["position,item,probability"] + [
        f"{place + 1},item-{item},{chances[item, place]:.12f}"
        for place in range(PLACES)
        for item in range(ITEMS)
    ]
    (tmp_path / "target.csv").write_text("\n".join(table))
    target = {"target.source": str(tmp_path / "target.csv")}

    config = config_of(OffPolicyConfig, "service_off_policy.yaml", **target)
    found = estimate(read_rounds(config), config)

    truth = float((chances * APPEAL[:, None] * SEEN).sum() / PLACES)
    logged = rank_chances(ITEMS, PLACES, TEMPERATURE)
    assert found.rows == 3000
    assert found.logged.low < (logged * APPEAL[:, None] * SEEN).sum() / PLACES < found.logged.high
    for name in ("IPS", "SNIPS", "DR"):
        assert found.estimates[name].low < truth < found.estimates[name].high, name
        assert found.estimates[name].low > found.logged.high
    assert not found.doubtful
    assert not found.unsupported


def test_readouts_of_arms_and_teams_find_the_better_one(intake: Intake, config_of: Measure) -> None:
    shop = Shop(intake, RUNNING)
    for number in range(1000):
        shop.visit(f"shopper-{number % 250}", f"r{number}")
    shop.close()

    arms = {"events.experiment": "ranker", "arms.control": "old", "metrics": "[click_through]"}
    arms["arms.split"] = "{old: 1, new: 1, both: 2}"
    config = config_of(OnlineConfig, "service_clicks.yaml", **arms)
    readout = read_experiment(read_events(config), config)
    teams = {"events.experiment": "ranker"}
    config = config_of(OnlineConfig, "service_interleaving.yaml", **teams)
    preference = read_preference(read_events(config), config)

    verdicts = {one.arm: one.verdict for one in readout.contrasts}
    assert verdicts["new"] == "better"
    assert not readout.sample_ratio.mismatch
    assert sum(readout.sample_ratio.users.values()) == 250
    assert readout.left_out.get("shoppers in no arm", 0) == 1  # the one who ends the log
    assert preference.verdict == "new"
    assert [team.team for team in preference.teams] == ["new", "old"]
    assert preference.teams[0].clicks > preference.teams[1].clicks
