"""A reader's own loss: a formula in x and y, read without running it as a program."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from samlib.objective import Objective

# As long as this may a formula be.
LONGEST = 200

FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    name: getattr(torch, name)
    for name in ("abs", "atan", "cos", "cosh", "exp", "log", "sin", "sinh", "sqrt", "tan", "tanh")
}
NUMBERS: Mapping[str, float] = {"pi": math.pi, "e": math.e}

_OPERATORS: Mapping[type[ast.operator], Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: torch.add,
    ast.Sub: torch.sub,
    ast.Mult: torch.mul,
    ast.Div: torch.div,
    ast.Pow: torch.pow,
}

Expression = Callable[[Tensor, Tensor], Tensor]


def read_formula(text: str) -> Objective:
    """The loss that a formula in x and y is, with derivatives by automatic differentiation.

    Parameters
    ----------
    text
        Numbers, x, y, pi, e, the operators + - * / ^, parentheses, and the functions of
        ``FUNCTIONS``. Products need their sign: 2*x, not 2x.

    Raises
    ------
    ValueError
        If the text is no such formula; the message says what is wrong, and where.

    Examples
    --------
    >>> import torch
    >>> read_formula("(x^2 - 1)^2/4 + y^2/2").gradient(torch.tensor([2.0, 3.0]))
    tensor([6., 3.])
    """
    python = text.replace("^", "**")
    try:
        tree = ast.parse(python.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        at = getattr(problem, "offset", None) or 1
        raise ValueError(f"cannot be read at character {_place(text, at)}") from None
    expression = _expression(tree.body)
    return Objective(lambda x: expression(x[..., 0], x[..., 1]), 2)


def _place(text: str, offset: int) -> int:
    """The character of the formula at an offset (from 1) of its Python."""
    place = len(text) - len(text.lstrip()) + offset
    for i, letter in enumerate(text):
        place -= letter == "^" and i + 1 < place
    return max(1, min(place, len(text) + 1))


def _expression(node: ast.expr) -> Expression:
    """What a part of the formula computes."""
    match node:
        case ast.Constant(value=bool() | str() | bytes() | complex() | None):
            pass
        case ast.Constant(value=int() | float() as value):
            return _constant(float(value))
        case ast.Name(id=name) if name in NUMBERS:
            return _constant(NUMBERS[name])
        case ast.Name(id="x"):
            return lambda x, y: x
        case ast.Name(id="y"):
            return lambda x, y: y
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _expression(operand)
            return lambda x, y: -inner(x, y)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _expression(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            first, second, apply = _expression(left), _expression(right), _OPERATORS[type(op)]
            return lambda x, y: apply(first(x, y), second(x, y))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
            of, function = _expression(argument), FUNCTIONS[name]
            return lambda x, y: function(of(x, y))
    raise ValueError(f"has {_named(node)}, which is none of {_allowed()}")


def _constant(value: float) -> Expression:
    return lambda x, y: torch.full_like(x, value)


def _named(node: ast.expr) -> str:
    """A part of the formula as it was written, shortened."""
    text = ast.unparse(node).replace(" ** ", "^")
    return f"“{text if len(text) <= 24 else text[:24] + '…'}”"


def _allowed() -> str:
    return f"x, y, numbers, + - * / ^ and {', '.join(FUNCTIONS)}"
