"""The arithmetic of values: what it computes, and that it runs nothing else."""

import numpy as np
import pytest

from tfrec.service.flow.expression import Expression

VALUES = {"click": np.array([0.5, 0.25]), "price": np.array([4.0, 9.0])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("click", [0.5, 0.25]),
        ("0.7 * click + 0.1 * price - 1", [-0.25, 0.075]),
        ("-click ** 2 / (1 + price)", [-0.05, -0.00625]),
        ("sqrt(price) * max(click, 0.3)", [1.0, 0.9]),
        ("min(log1p(price), 2) + abs(-1) + exp(0)", np.minimum(np.log1p([4, 9]), 2) + 2),
        ("2", 2),
    ],
)
def test_arithmetic_is_computed(text: str, expected: object) -> None:
    np.testing.assert_allclose(Expression(text)(VALUES), expected)


def test_names_are_told() -> None:
    assert Expression("0.7 * click + log1p(price) / 2").names == {"click", "price"}


def test_what_is_no_finite_number_comes_last() -> None:
    found = Expression("1 / (price - 4) + 1e300 ** click * 0")(VALUES)

    assert found[0] == -np.inf
    assert found[1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "text",
    [
        "", "click +", "__import__('os')", "click.real", "values['click']", "[click]", "click if 1",
        "lambda: 1", "click > 1", "True", "'a'", "max(click)", "log1p(x=click)", "open('f')",
        "click and price", "1e999", "click; price", "x := 1", "(" * 300 + "1" + ")" * 300,
        "1" * 600, "f'{click}'", "click @ price", "~click",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"arithmetic|finite|takes|letters"):
        Expression(text)
