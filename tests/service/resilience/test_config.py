from typing import Any

import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.service.resilience.config import ResilienceConfig


def read(**content: Any) -> ResilienceConfig:
    return validate(ResilienceConfig, content, "service.resilience")


@pytest.mark.parametrize(
    ("written", "seconds"), [("50ms", 0.05), ("1.5s", 1.5), (30, 0.03), ("30", 0.03), (0.5, 0.0005)]
)
def test_times_are_milliseconds_or_have_a_unit(written: Any, seconds: float) -> None:
    assert read(budgets={"rank": written}).budgets.rank == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["soon", "5m", True, None, "-3ms"])
def test_what_is_no_time_is_refused(written: Any) -> None:
    with pytest.raises(UserError, match=r"service.resilience.request: .*not a time to wait; write"):
        read(request=written)


@pytest.mark.parametrize("written", [0, -1, "0ms", float("inf"), float("nan")])
def test_time_without_end_or_beginning_is_refused(written: Any) -> None:
    with pytest.raises(UserError, match=r"service\.resilience\.breaker.recover: "):
        read(breaker={"recover": written})


def test_step_without_a_budget_is_named_with_those_that_have_one() -> None:
    with pytest.raises(UserError, match=r"budgets\.merge: unknown key; known here: gather, "):
        read(budgets={"merge": 5})


@pytest.mark.parametrize(
    "url", ["localhost:6379", "http://localhost", "redis://", "redis://localhost:x"]
)
def test_cache_elsewhere_than_in_redis_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"cache\.redis: .* not a URL of Redis; write it like "):
        read(cache={"redis": url})


def test_a_config_that_is_written_down_is_read_as_the_same() -> None:
    for config in (ResilienceConfig(), ResilienceConfig.model_validate({"request": "1.3s"})):
        assert ResilienceConfig.model_validate(config.model_dump()) == config
        assert ResilienceConfig.model_validate_json(config.model_dump_json()) == config
