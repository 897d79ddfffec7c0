from pathlib import Path

import yaml
from click.testing import CliRunner, Result
from command import tfrec
from shop import Shop

from tfrec.cli.features import features
from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.features import FeatureSpec


def run(*arguments: object) -> Result:
    return CliRunner().invoke(features, [str(argument) for argument in arguments])


def test_inferred_features_are_a_section_that_validates(shop: Shop) -> None:
    done = run(
        *("infer", "--events", shop.events, "--items", shop.items),
        *("--user", "shopper", "--item", "sku", "--time", "at", "--role-of", "size=item"),
    )

    assert done.exit_code == 0, done.output
    spec = validate(FeatureSpec, yaml.safe_load(done.stdout)["features"])
    roles = {name: spec[name].role for name in spec.root}
    assert roles.items() >= {
        "shopper": "user", "recent_sku": "user", "channel": "context", "aisle": "item",
    }.items()  # fmt: skip


def test_role_that_is_none_is_refused(shop: Shop) -> None:
    done = run(
        *("infer", "--events", shop.events, "--items", shop.items),
        *("--user", "shopper", "--item", "sku", "--time", "at", "--role-of", "channel=moment"),
    )

    assert isinstance(done.exception, UserError)
    assert str(done.exception).startswith("--role-of: 'channel=moment': no role; write COLUMN=ROLE")


def write_config(path: Path, shop: Shop, **changes: object) -> Path:
    path.write_text(yaml.safe_dump(shop.config(**changes)))
    return path


def test_check_shows_every_feature_and_its_place(shop: Shop, tmp_path: Path) -> None:
    done = run("check", write_config(tmp_path / "shop.yaml", shop))

    assert done.exit_code == 0, done.output
    rows = {
        cells[0]: cells[1:]
        for line in done.stdout.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│ ").split("│")]) == 7
    }
    assert rows["aisle"] == ["catalogue", "120", "0.0%", "6", "-", "0"]
    assert rows["weekday"] == ["calendar", *["-"] * 5]
    assert rows["shopper"][:4] == ["user", "6,000", "0.0%", "40"]


def test_errors_leave_one_line_each_and_status_2(shop: Shop, tmp_path: Path) -> None:
    title = {"title": {"role": "item", "kind": "numeric"}}
    config = write_config(tmp_path / "shop.yaml", shop, features=title)

    done = tfrec("features", "check", config)

    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: features.title: 119 of 120 rows rejected: ")
    assert "raise data.max_reject_share above 0.01" in line
