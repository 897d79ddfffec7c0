"""Campaigns written out by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfrec.config import validate
from tfrec.evaluation.promotions.config import UpliftConfig

FILES = {
    "campaigns": (
        "campaign,start,end,kind\nb,2020-03-01,2020-03-10,mail\na,2020-02-01,2020-02-05,app\n"
    ),
    "sent": "campaign,user\na,ann\na,bob\nb,ann\nb,zoe\n",
    "coupons": "campaign,item\na,milk\na,gone\nb,milk\nb,bread\n",
    "redemptions": "campaign,user,time\na,ann,2020-02-03\nb,zoe,2020-03-02\n",
    "purchases": (
        "user,item,time,paid,off\n"
        "bob,bread,2020-02-05T23:59:00,5,\n"
        "ann,milk,2020-01-20,2,0.5\n"
        "ann,milk,2020-02-03,4,1\n"
        "cyd,soap,2020-03-10T10:00:00,7,0\n"
    ),
    "profiles": "user,age,town\nbob,30-39,\nann,20-29,Ulm\nbob,50-59,Bonn\n",
}


@pytest.fixture
def config_of(tmp_path: Path) -> Callable[..., UpliftConfig]:
    """A config of these files, some of them replaced by the text that is given."""

    def run(changes: dict[str, Any] | None = None, **files: str) -> UpliftConfig:
        for name, text in {**FILES, **files}.items():
            (tmp_path / f"{name}.csv").write_text(text)
        columns: dict[str, dict[str, Any]] = {
            "campaigns": {"campaign": "campaign", "start": "start", "end": "end", "kind": "kind"},
            "sent": {"campaign": "campaign", "user": "user"},
            "coupons": {"campaign": "campaign", "item": "item"},
            "redemptions": {"campaign": "campaign", "user": "user", "time": "time"},
            "purchases": {
                **{"user": "user", "item": "item", "time": "time"},
                **{"revenue": "paid", "discount": "off"},
            },
            "profiles": {"user": "user", "columns": ["age", "town"]},
        }
        content = {
            name: {"source": str(tmp_path / f"{name}.csv"), **of} for name, of in columns.items()
        }
        given = {"name": "toy", "held_out": "2020-02-20", **content, **(changes or {})}
        return validate(UpliftConfig, given)

    return run
