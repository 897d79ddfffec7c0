"""What an item is worth, as a line of arithmetic."""

import ast
import operator
from collections.abc import Callable, Mapping

import numpy as np

Number = float | np.ndarray

_MOST_LETTERS, _SHOWN = 500, 40
_BINARY: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Number], Number]] = {
    ast.USub: np.negative,
    ast.UAdd: np.positive,
}
_FUNCTIONS: Mapping[str, tuple[int, Callable[..., Number]]] = {
    "log1p": (1, np.log1p),
    "sqrt": (1, np.sqrt),
    "exp": (1, np.exp),
    "abs": (1, np.abs),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}


class Expression:
    """Arithmetic over named numbers: `0.7 * click + 0.3 * conversion * margin`.

    It has `+ - * / **`, brackets, numbers, names, and `log1p`, `sqrt`, `exp`, `abs`, `min(a, b)`
    and `max(a, b)`; nothing else is run.

    Attributes:
      names: that it takes.
    """

    def __init__(self, text: str) -> None:
        """Reads an expression.

        Raises:
          ValueError: if it is none.
        """
        if len(text) > _MOST_LETTERS:
            raise ValueError(f"longer than {_MOST_LETTERS} letters")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise ValueError("no arithmetic; write e.g. 0.7 * click + 0.3 * margin") from None
        self.names = frozenset(_names(self._tree))

    def __call__(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Computes it.

        Args:
          values: a value for each of `names`, `[n]` each.

        Returns:
          `[n]` float64; -inf where the result is no finite number, so that it comes last.
        """
        with np.errstate(all="ignore"):
            found = np.asarray(_compute(self._tree, values), np.float64)
        return np.where(np.isfinite(found), found, -np.inf)


def _names(node: ast.expr) -> list[str]:
    """The names below a node, all of which is checked to be arithmetic."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            if not np.isfinite(float(value)):
                raise ValueError(f"{value} is no finite number")
            return []
        case ast.Name(id=name):
            return [name]
        case ast.UnaryOp(op=sign, operand=of) if type(sign) in _UNARY:
            return _names(of)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return [*_names(left), *_names(right)]
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            if len(args) != _FUNCTIONS[name][0]:
                raise ValueError(f"{name} takes {_FUNCTIONS[name][0]}, not {len(args)}")
            return [found for argument in args for found in _names(argument)]
    known = ", ".join(_FUNCTIONS)
    part = ast.unparse(node)[:_SHOWN]
    raise ValueError(f"{part!r} is no arithmetic; there are + - * / ** and {known}")


def _compute(node: ast.expr, values: Mapping[str, np.ndarray]) -> Number:
    match node:
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=sign, operand=of):
            return _UNARY[type(sign)](_compute(of, values))
        case ast.BinOp(left=left, op=sign, right=right):
            return _BINARY[type(sign)](_compute(left, values), _compute(right, values))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _FUNCTIONS[name][1](*(_compute(argument, values) for argument in args))
    raise AssertionError("checked before")
