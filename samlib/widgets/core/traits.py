"""The types of a figure's traits: numbers in a range, words of a list, switches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set, Sized
from decimal import Decimal
from itertools import islice
from numbers import Real as AnyReal
from typing import Any

import traitlets

# So many words are looked at in what may have no end.
MOST_WORDS = 100


class InvalidTraitError(traitlets.TraitError, ValueError):
    """A trait was given a value it cannot have: a ``ValueError``, as elsewhere in samlib."""


class Real(traitlets.TraitType[float, float]):
    """A finite number from ``low`` to ``high``."""

    def __init__(self, low: float, high: float, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(low, **kwargs)

    def validate(self, obj: Any, value: Any) -> float:
        """Return the number as a float."""
        number = _as_float(value)
        if number is None or not self.low <= number <= self.high:
            raise InvalidTraitError(
                f"{self.name} must be a finite number from {self.low:g} to {self.high:g}, "
                f"got {_quoted(value)}"
            )
        return number


class Whole(traitlets.TraitType[int, int]):
    """A whole number from ``low`` to ``high``."""

    def __init__(self, low: int, high: int, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(low, **kwargs)

    def validate(self, obj: Any, value: Any) -> int:
        """Return the number as an int."""
        number = _as_float(value)
        if number is None or number != int(number) or not self.low <= number <= self.high:
            raise InvalidTraitError(
                f"{self.name} must be a whole number from {self.low} to {self.high}, "
                f"got {_quoted(value)}"
            )
        return int(number)


class OneOf(traitlets.TraitType[str, str]):
    """One of the words ``choices``."""

    def __init__(self, choices: tuple[str, ...], **kwargs: Any) -> None:
        self.choices = choices
        super().__init__(choices[0], **kwargs)

    def validate(self, obj: Any, value: Any) -> str:
        """Return the word."""
        if not isinstance(value, str) or value not in self.choices:
            allowed = ", ".join(map(repr, self.choices))
            raise InvalidTraitError(f"{self.name} must be one of {allowed}, got {_quoted(value)}")
        return self.choices[self.choices.index(value)]  # not NumPy's word, but ours


class Text(traitlets.TraitType[str, str]):
    """A text of at most ``longest`` characters, some of which are no spaces."""

    def __init__(self, default: str, longest: int, **kwargs: Any) -> None:
        self.longest = longest
        super().__init__(default, **kwargs)

    def validate(self, obj: Any, value: Any) -> str:
        """Return the text."""
        if not isinstance(value, str) or not value.strip() or len(value) > self.longest:
            raise InvalidTraitError(
                f"{self.name} must be a text of 1 to {self.longest} characters, "
                f"got {_quoted(value)}"
            )
        return str(value)  # Python's


class Switch(traitlets.TraitType[bool, bool]):
    """True or False, Python's, NumPy's or torch's."""

    default_value = False

    def validate(self, obj: Any, value: Any) -> bool:
        """Return the switch as a bool."""
        switch = _as_scalar(value)
        if not isinstance(switch, bool):
            raise InvalidTraitError(f"{self.name} must be True or False, got {_quoted(value)}")
        return switch


class Reals(traitlets.TraitType[tuple[float, ...], Iterable[float]]):
    """Between ``shortest`` and ``longest`` finite numbers, each from ``low`` to ``high``."""

    def __init__(self, low: float, high: float, shortest: int, longest: int, **kwargs: Any) -> None:
        self.low, self.high = low, high
        self.shortest, self.longest = shortest, longest
        super().__init__((low,) * shortest, **kwargs)

    def validate(self, obj: Any, value: Any) -> tuple[float, ...]:
        """Return the numbers as a tuple of floats."""
        count = str(self.shortest)
        if self.longest != self.shortest:
            count += f" to {self.longest}"
        allowed = f"{count} finite numbers, each from {self.low:g} to {self.high:g}"
        given = _entries(value, self.longest + 1)
        if given is None:
            raise InvalidTraitError(f"{self.name} must be {allowed}; got {_quoted(value)}")
        if not self.shortest <= len(given) <= self.longest:
            many = len(value) if isinstance(value, Sized) else f"{len(given)} or more"
            raise InvalidTraitError(
                f"{self.name} must be {allowed}; got {many} of them: {_quoted(value)}"
            )
        numbers = [_as_float(entry) for entry in given]
        for entry, number in zip(given, numbers, strict=True):
            if number is None or not self.low <= number <= self.high:
                raise InvalidTraitError(
                    f"{self.name} must be {allowed}; got {_quoted(entry)} in it"
                )
        return tuple(number for number in numbers if number is not None)


class Words(traitlets.TraitType[tuple[str, ...], Iterable[str]]):
    """Some of the words in the object's attribute ``among``, each once, in their order."""

    default_value = ()

    def __init__(self, among: str, **kwargs: Any) -> None:
        self.among = among
        super().__init__((), **kwargs)

    def validate(self, obj: Any, value: Any) -> tuple[str, ...]:
        """Return the words in their order."""
        words: tuple[str, ...] = getattr(obj, self.among)
        given = _entries(value, MOST_WORDS)
        if given is None or any(not isinstance(word, str) or word not in words for word in given):
            allowed = f"some of {', '.join(map(repr, words))}" if words else "empty"
            raise InvalidTraitError(
                f"{self.name} must be a list of words, {allowed}; got {_quoted(value)}"
            )
        return tuple(word for word in words if word in given)


def _as_scalar(value: Any) -> Any:
    """What Python calls the number that ``value`` is, if it is NumPy's or torch's."""
    if getattr(value, "shape", None) != () or not callable(getattr(value, "item", None)):
        return value
    try:
        return value.item()
    except (TypeError, ValueError, RuntimeError):  # a tensor without data, for one
        return value


def _as_float(value: Any) -> float | None:
    """The finite number that ``value`` is (Python's, NumPy's or torch's), or None."""
    scalar = _as_scalar(value)
    if isinstance(scalar, bool) or not isinstance(scalar, (AnyReal, Decimal)):
        return None
    try:
        number = float(scalar)
    except (TypeError, ValueError, OverflowError):
        return None
    return number + 0.0 if math.isfinite(number) else None  # −0 becomes 0


def _entries(value: Any, most: int) -> list[Any] | None:
    """The first entries of what has an order and is no text, or None."""
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping, Set)):
        return None
    try:
        return list(islice(value, most))
    except (TypeError, ValueError, RuntimeError):  # a tensor without dimensions, for one
        return None


def _quoted(value: Any, most: int = 120) -> str:
    """What a message says of a value: the beginning, if it is long."""
    try:
        text = repr(value)
    except Exception:  # an int of thousands of digits has no text, and anything may fail
        text = f"one of type {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}…"
