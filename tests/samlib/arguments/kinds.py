"""Kinds of arguments: what is accepted, what is not, and what an error says."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor


@dataclass(frozen=True)
class Argument:
    """A value that is accepted, others that are not, and how an error says what is allowed."""

    good: Any
    bad: tuple[Any, ...] = ()
    says: str = ""
    drawn: st.SearchStrategy[Any] | None = None
    called: str | None = None  # in the error, if not by its name

    def or_none(self) -> Argument:
        """The same argument, which may also be None."""
        drawn = None if self.drawn is None else self.drawn.filter(lambda value: value is not None)
        bad = tuple(value for value in self.bad if value is not None)
        return Argument(self.good, bad, self.says, drawn, self.called)


def free(good: Any, why: str) -> Argument:
    """An argument that samlib passes on, or does not look at."""
    assert why
    return Argument(good)


NO_NUMBERS = (None, True, "2", [1.0], 1j, object())
NOT_FINITE = (math.nan, math.inf, -math.inf)
NO_TENSOR = (None, 1.0, True, "x", [0.0] * 4, np.zeros(4))
WORDS = st.text(max_size=5)


def number(
    good: float, inside: Callable[[float], bool], says: str, bad: tuple[Any, ...] = ()
) -> Argument:
    floats = st.floats().filter(lambda x: not inside(x))
    tensors = (torch.tensor([0.5, 0.5]), torch.tensor([]), torch.tensor(1), torch.tensor(0.5j))
    numbers = (-1.0, -(10**400), 10**400)
    wrong = (*NO_NUMBERS, *NOT_FINITE, *numbers, *tensors, *bad)
    return Argument(good, wrong, rf"number|{says}", floats | WORDS | st.booleans())


def positive(good: float = 0.1) -> Argument:
    return number(good, lambda x: 0 < x < math.inf, "> 0", (0, 0.0, -0.0))


def non_negative(good: float = 0.1) -> Argument:
    return number(good, lambda x: 0 <= x < math.inf, "≥ 0")


def fraction(good: float = 0.1) -> Argument:
    return number(good, lambda x: 0 < x < 1, "between 0 and 1", (0, 0.0, 1, 1.0, 1.5, -0.5))


def numbers_of_a_batch(one: Argument, unfit: Tensor) -> Argument:
    """A number, or one for each point."""
    kept = [value for value in one.bad if not (isinstance(value, Tensor) and value.numel() == 2)]
    wrong = (*kept, unfit, torch.tensor([0.1, math.nan]), torch.tensor([0.1, -1.0]))
    return Argument(one.good, wrong, rf"{one.says}|dtype|shape", one.drawn)


def count(
    good: int, least: int = 1, most: int | None = None, extra: tuple[Any, ...] = ()
) -> Argument:
    too_many = () if most is None else (most + 1, most + 10**30)
    fractional = (2.0, 2.5, torch.tensor(2), np.float64(2.0))
    wrong = (*NO_NUMBERS, *NOT_FINITE, *fractional, least - 1, -(10**30), *too_many, *extra)
    integers = st.integers(max_value=least - 1)
    if most is not None:
        integers |= st.integers(min_value=most + 1)
    return Argument(good, wrong, r"integer|≥|at most|even|6n|below", integers | st.floats() | WORDS)


def seed(bits: int = 64) -> Argument:
    return count(3, 0, 2**bits - 1)


def flag(good: bool = False) -> Argument:
    return Argument(good, (None, 0, 1, "yes", [], torch.tensor(True)), "True or False", WORDS)


def text(good: str, *bad: str) -> Argument:
    return Argument(good, (None, 3, True, ["a"], b"a", *bad), "string|must")


def one_of(good: str, *allowed: str) -> Argument:
    words = WORDS.filter(lambda word: word not in allowed)
    wrong = (None, 3, True, "", "nonsense", allowed, [good], object())
    return Argument(good, wrong, ", ".join(map(re.escape, allowed)), words)


def some_of(good: Any, *allowed: str) -> Argument:
    words = WORDS.filter(lambda word: word not in allowed)
    wrong = (None, 3, True, "", "nonsense", [good, "nonsense"], [3], object())
    return Argument(good, wrong, ", ".join(map(re.escape, allowed)), words | st.tuples(words))


def point(good: Tensor, *bad: Any) -> Argument:
    dim = good.shape[-1]
    dtypes = (torch.int64, torch.bool, torch.complex64)
    shapes = ((dim + 1,), (dim, dim + 1), (dim + 1, 1), (), (0,))
    wrong = (
        *NO_TENSOR,
        *(torch.zeros(dim, dtype=dtype) for dtype in dtypes),
        *(torch.zeros(shape) for shape in shapes),
        *bad,
    )
    sizes = st.lists(st.integers(0, 5), max_size=3).filter(lambda shape: shape[-1:] != [dim])
    return Argument(
        good, wrong, r"torch\.Tensor|floating-point|shape|point|finite", sizes.map(torch.zeros)
    )


def one_point(good: Tensor, *bad: Any) -> Argument:
    return point(good, good.expand(2, -1), good.expand(1, -1), *bad)


def no_empty_batch(of: Argument) -> Argument:
    empty = torch.zeros(0, of.good.shape[-1])
    return Argument(of.good, (*of.bad, empty), of.says, of.drawn, of.called)


def indices(good: Tensor, most: int) -> Argument:
    """Component indices: one, or several, for each point of a batch."""
    others = (torch.float64, torch.bool, torch.complex64)
    wrong = (
        *NO_TENSOR,
        *(good.to(dtype) for dtype in others),
        torch.full_like(good, -1),
        torch.full_like(good, most + 1),
        torch.cat([good, good]),
        good[:0],
    )
    return Argument(good, wrong, r"torch\.Tensor|integer|shape|indices")


def function(good: Any) -> Argument:
    return Argument(good, (None, 3, "loss", torch.zeros(2), [good]), "callable")


def instance(good: Any, says: str, *bad: Any) -> Argument:
    return Argument(good, (None, 3, "name", object(), type(good), [good], *bad), says)


def dtype() -> Argument:
    others = (torch.int64, torch.bool, torch.complex128)
    return Argument(torch.float64, (None, "float64", float, np.float64, *others), "floating-point")


def device() -> Argument:
    return Argument("cpu", (None, 3, "", "nowhere", "cpu:x", ["cpu"]), "'cpu'")
