from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.service import metrics
from tfrec.service.experiments.config import EpsilonGreedy, ExperimentsConfig, Greedy
from tfrec.service.experiments.label import read_label, write_label
from tfrec.service.experiments.running import Experiments
from tfrec.service.flow.config import FlowConfig
from tfrec.service.intake import Verdict

ARMS = {"old": {}, "new": {"flow": {"value": "click + margin"}}}
FLOW = FlowConfig.model_validate({"value": "click", "rank": {"candidates": 50}})
SHOPPERS = [f"shopper-{number}" for number in range(300)]


Open = Callable[..., Experiments[FlowConfig]]


@pytest.fixture
def begin() -> Iterator[Open]:
    """Opens experiments whose flow is the config that it is made of."""
    opened = []

    def run(running: Any = None, **fields: Any) -> Experiments[FlowConfig]:
        content = fields | ({} if running is None else {"running": running})
        config = validate(ExperimentsConfig, content, "experiments")
        opened.append(Experiments(config, FLOW, build))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


def build(flow: FlowConfig) -> FlowConfig:
    if flow.value == "nonsense":
        raise UserError("value: 'nonsense': no such number")
    return flow


def of_arm(experiments: Experiments[FlowConfig], name: str, arm: str) -> str:
    """A shopper in an arm."""
    return next(one for one in SHOPPERS if experiments.arms(one, None).get(name) == arm)


def outcomes(experiment: str, arm: str, event_type: str) -> float:
    labels = f'arm="{arm}",experiment="{experiment}",type="{event_type}"'
    lines = metrics.render()[0].decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if labels in line)


def test_without_experiments_everybody_gets_the_services_flow(begin: Open) -> None:
    variant = begin().assign("ann", None, "home")

    assert (variant.arms, variant.label, variant.teams) == ({}, None, None)
    assert variant.flow == FLOW
    assert isinstance(variant.exploration, Greedy)


def test_arm_changes_what_it_names_and_keeps_the_rest(begin: Open) -> None:
    experiments = begin({"worth": {"arms": ARMS}})

    for arm, value in (("old", "click"), ("new", "click + margin")):
        variant = experiments.assign(of_arm(experiments, "worth", arm), None, "home")
        assert variant.label == f"worth={arm}"
        assert (variant.flow.value, variant.flow.rank.candidates) == (value, 50)


def test_shopper_stays_in_an_arm_over_restarts_and_replicas(begin: Open) -> None:
    one, other = (begin({"worth": {"arms": ARMS}}) for _ in range(2))

    assert [one.arms(shopper, None) for shopper in SHOPPERS] == [
        other.arms(shopper, None) for shopper in SHOPPERS
    ]
    assert {arm for shopper in SHOPPERS for arm in one.arms(None, shopper).values()} == {*ARMS}
    assert one.arms("ann", "a") == one.arms("ann", "b") == one.arms("ann", None)
    assert one.arms(None, None) == one.assign(None, None, "home").arms == {}


def test_variant_has_another_key_where_anything_about_it_differs(begin: Open) -> None:
    explores = {"kind": "plackett_luce", "temperature": 2}
    changed = {"old": {}, "new": {"flow": {"value": "margin"}}}
    opened = [
        begin({"worth": {"arms": ARMS}}),
        begin({"worth": {"arms": changed}}),
        begin({"worth": {"arms": ARMS}}, exploration=explores),
    ]

    keys = {one.assign(shopper, None, "home").key for one in opened for shopper in SHOPPERS}

    assert len(keys) == 2 * len(opened)
    again = begin({"worth": {"arms": ARMS}})
    assert {again.assign(shopper, None, "home").key for shopper in SHOPPERS} < keys


def test_experiments_meet_and_the_later_one_counts(begin: Open) -> None:
    other = {"off": {}, "on": {"flow": {"value": "margin", "rank": {"candidates": 9}}}}
    experiments = begin({"worth": {"arms": ARMS}, "depth": {"arms": other}})

    seen = Counter(
        (variant.label, variant.flow.value, variant.flow.rank.candidates)
        for variant in (experiments.assign(shopper, None, "home") for shopper in SHOPPERS)
    )

    assert seen.keys() == {
        ("worth=old;depth=off", "click", 50),
        ("worth=new;depth=off", "click + margin", 50),
        ("worth=old;depth=on", "margin", 9),
        ("worth=new;depth=on", "margin", 9),
    }


def test_experiment_is_about_its_shelves_alone(begin: Open) -> None:
    experiments = begin({"worth": {"arms": ARMS, "scenarios": ["home", "similar"]}})
    shopper = of_arm(experiments, "worth", "new")

    assert experiments.assign(shopper, None, "similar").arms == {"worth": "new"}
    assert experiments.assign(shopper, None, "search").arms == {}
    assert experiments.arms(shopper, None) == {"worth": "new"}


def test_interleaving_arm_has_the_flows_of_two_others(begin: Open) -> None:
    arms = ARMS | {"old": {"weight": 0}, "both": {"interleave": ["old", "new"]}}
    experiments = begin({"worth": {"arms": arms}})

    variant = experiments.assign(of_arm(experiments, "worth", "both"), None, "home")

    assert variant.teams
    told = [(team.label, team.flow.value) for team in variant.teams]
    assert told == [("worth=old", "click"), ("worth=new", "click + margin")]
    assert {*experiments.arms(None, "x"), *ARMS} >= {"worth"}
    assert "old" not in {arm for one in SHOPPERS for arm in experiments.arms(one, None).values()}


def test_exploration_is_of_its_shelves_and_arms_may_have_another(begin: Open) -> None:
    explores = {"kind": "epsilon_greedy", "epsilon": 0.1, "places": [3], "scenarios": ["home"]}
    arms = {"some": {}, "more": {"exploration": explores | {"epsilon": 0.5}}}
    arms["none"] = {"exploration": {"kind": "none"}}
    experiments = begin({"risk": {"arms": arms}}, exploration=explores)

    found = {}
    for arm in arms:
        shopper = of_arm(experiments, "risk", arm)
        exploration = experiments.assign(shopper, None, "home").exploration
        found[arm] = exploration.epsilon if isinstance(exploration, EpsilonGreedy) else None
        assert isinstance(experiments.assign(shopper, None, "search").exploration, Greedy)

    assert found == {"some": 0.1, "more": 0.5, "none": None}


def test_random_is_that_of_the_request(begin: Open) -> None:
    one, other = begin(), begin(seed=1)

    assert one.random("r1").random() == one.random("r1").random()
    draws = {one.random("r1").random(), one.random("r2").random(), other.random("r1").random()}
    assert len(draws) == 3


@pytest.mark.parametrize(
    ("running", "message"),
    [
        ({"a b": {"arms": ARMS}}, r"running\.a b.*String should match pattern"),
        ({"worth": {"arms": {}}}, "arms.*at least 1 item"),
        ({"worth": {"arms": {"x": {"weight": 0}}}}, "no weight is above 0"),
        ({"worth": {"arms": {"x": {"weight": -1}}}}, "weight: -1: .*greater than or equal to 0"),
        ({"worth": {"arms": ARMS, "traffic": 0}}, "traffic: 0: .*greater than 0"),
        ({"worth": {"arms": ARMS, "colour": 1}}, "colour: unknown key; known here: arms"),
        (
            {"worth": {"arms": {"x": {"flow": {"speed": 1}}}}},
            r"experiments\.worth\.arms\.x\.flow\.speed: unknown key",
        ),
        (
            {"worth": {"arms": {"x": {"flow": {"value": "nonsense"}}}}},
            r"experiments\.worth\.arms\.x\.flow: value: 'nonsense'",
        ),
        (
            {"worth": {"arms": ARMS | {"x": {"interleave": ["old", "old"]}}}},
            r"arms\.x\.interleave: 'old' twice",
        ),
        (
            {"worth": {"arms": ARMS | {"x": {"interleave": ["old", "x"]}}}},
            r"arms\.x\.interleave: 'x' is no arm with a flow of its own; known: old, new",
        ),
        (
            {"worth": {"arms": ARMS | {"x": {"interleave": ["old", "new"], "flow": {"a": 1}}}}},
            "neither flow nor exploration",
        ),
        (
            {
                name: {"arms": ARMS | {"x": {"interleave": ["old", "new"]}}}
                for name in ("one", "two")
            },
            r"one\.arms\.x and two\.arms\.x both interleave",
        ),
        (
            {f"e{number}": {"arms": ARMS} for number in range(9)},
            "512 combinations of arms meet on one shelf, and at most 256",
        ),
        (
            {f"{'e' * 60}{number}": {"arms": {"a" * 30: {}}} for number in range(3)},
            "longer than 256 letters",
        ),
    ],
)
def test_experiments_that_cannot_be_are_told(begin: Open, running: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        begin(running)


def test_running_and_file_exclude_each_other(begin: Open) -> None:
    with pytest.raises(UserError, match="running and file; give one of them"):
        begin({"worth": {"arms": ARMS}}, file="experiments.yaml")


def write(path: Path, experiments: Any) -> None:
    beside = path.with_name("beside.yaml")
    beside.write_text(experiments if isinstance(experiments, str) else yaml.safe_dump(experiments))
    beside.replace(path)


def test_changed_file_is_read_again(begin: Open, tmp_path: Path) -> None:
    path = tmp_path / "experiments.yaml"
    write(path, {"experiments": {"worth": {"arms": {"old": {}}}}})
    experiments = begin(file=path)
    assert experiments.assign("ann", None, "home").arms == {"worth": "old"}

    assert not experiments.refresh()
    write(path, {"experiments": {"worth": {"arms": {"newer": {}}}}})
    experiments.refresh()  # unless the thread was faster

    assert experiments.assign("ann", None, "home").arms == {"worth": "newer"}
    assert experiments.problem == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("experiments: {worth: {arms: {old: {wait: 1}}}}", "arms.old.wait: unknown key"),
        ("experiments: [", "not valid YAML"),
        ("{}", "experiments: missing"),
        (None, "No such file"),
    ],
)
def test_broken_file_keeps_the_arms_of_before(
    begin: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: Any, problem: str
) -> None:
    path = tmp_path / "experiments.yaml"
    write(path, {"experiments": {"worth": {"arms": {"old": {}}}}})
    experiments = begin(file=path)

    if content is None:
        path.unlink()
    else:
        write(path, content)
    experiments.refresh()

    assert experiments.assign("ann", None, "home").arms == {"worth": "old"}
    assert problem in experiments.problem
    assert str(path) in experiments.problem
    assert problem in caplog.text
    write(path, {"experiments": {}})
    experiments.refresh()
    assert (experiments.problem, experiments.arms("ann", None)) == ("", {})


def test_broken_file_at_the_start_is_told(begin: Open, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        begin(file=tmp_path / "experiments.yaml")


def test_events_count_for_the_running_arms_that_they_name(begin: Open) -> None:
    experiments = begin({"counted": {"arms": ARMS}})
    rows = [
        {"type": "click", "arm": "counted=new;other=x"},
        {"type": "click", "arm": "counted=new"},
        {"type": "click", "arm": "counted=newest"},
        {"type": "click", "arm": "no label"},
        {"type": "click"},
        {"type": "purchase", "arm": "counted=old"},
        {"type": "click", "arm": "counted=old"},
        "no event",
    ]
    verdicts = [Verdict(None, "accepted")] * 6
    verdicts += [Verdict(None, "duplicate"), Verdict(None, "rejected", "no object")]

    experiments.count(rows, verdicts)

    assert outcomes("counted", "new", "click") == 2
    assert outcomes("counted", "old", "click") == 0
    assert outcomes("counted", "old", "purchase") == 1
    assert outcomes("other", "x", "click") == 0


def test_label_is_read_as_it_is_written() -> None:
    arms = {"ranker": "new", "worth": "a.b-c_1"}

    assert read_label(write_label(arms)) == arms
    assert write_label({}) is None
    assert read_label(None) == read_label("") == read_label("new") == {}
