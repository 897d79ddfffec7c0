from collections import Counter

import pytest

from tfrec.service.experiments.buckets import arm_of, seed_of, unit

SHOPPERS = [f"shopper-{number}" for number in range(6_000)]


def divide(weights: dict[str, float], salt: str = "test", traffic: float = 1) -> list[str | None]:
    return [arm_of(shopper, salt, weights, traffic) for shopper in SHOPPERS]


def moved(before: list[str | None], after: list[str | None]) -> float:
    return sum(one != other for one, other in zip(before, after, strict=True)) / len(SHOPPERS)


def test_arms_get_shoppers_by_their_weights() -> None:
    shares = Counter(divide({"a": 1, "b": 2, "c": 0, "d": 5}))

    assert shares.keys() == {"a", "b", "d"}
    for arm, share in (("a", 1 / 8), ("b", 2 / 8), ("d", 5 / 8)):
        assert shares[arm] / len(SHOPPERS) == pytest.approx(share, abs=0.025)


def test_shopper_is_in_the_arm_of_another_version_and_machine() -> None:
    arms = [arm_of(shopper, "test", {"a": 1, "b": 1}, 1) for shopper in SHOPPERS[:12]]

    assert "".join(map(str, arms)) == "babababbabaa"


def test_changed_weight_moves_shoppers_from_or_to_its_arm_alone() -> None:
    before = divide({"a": 1, "b": 1, "c": 1})
    after = divide({"a": 2, "b": 1, "c": 1})

    changes = {(one, other) for one, other in zip(before, after, strict=True) if one != other}
    assert changes == {("b", "a"), ("c", "a")}
    assert moved(before, after) == pytest.approx(1 / 2 - 1 / 3, abs=0.025)
    assert divide({"c": 7, "a": 7, "b": 7}) == before


def test_traffic_grows_without_moving_who_is_in() -> None:
    few, many = divide({"a": 1, "b": 1}, traffic=0.2), divide({"a": 1, "b": 1}, traffic=0.6)

    assert sum(arm is not None for arm in few) / len(SHOPPERS) == pytest.approx(0.2, abs=0.025)
    assert sum(arm is not None for arm in many) / len(SHOPPERS) == pytest.approx(0.6, abs=0.025)
    assert all(one is None or one == other for one, other in zip(few, many, strict=True))


def test_experiments_divide_shoppers_independently() -> None:
    one, other = divide({"a": 1, "b": 1}, "one"), divide({"a": 1, "b": 1}, "other")

    for share in Counter(zip(one, other, strict=True)).values():
        assert share / len(SHOPPERS) == pytest.approx(1 / 4, abs=0.025)


def test_units_are_between_their_ends_and_parts_are_not_run_together() -> None:
    assert all(0 < unit("x", shopper) < 1 for shopper in SHOPPERS)
    assert seed_of("ab", "c") != seed_of("a", "bc")
    assert seed_of("a", "2:bc") != seed_of("a", "2", "bc")
    assert unit("lone surrogate \ud800") != unit("lone surrogate ")
