"""Claims: what the theory predicts against what the code measured, with a tolerance and a source.

A claim that does not hold raises, so a chapter with a false claim does not run to its end. A
claim that holds displays itself, and carries its data for the book's page of all claims.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from samlib._validation import require_number, require_text, shown

MIME_TYPE = "application/vnd.samlib.claim+json"

# Small arrays are shown in full, larger ones by their first entries.
_SHOWN_ENTRIES = 6
# Decimals up to which zeros at the end are shown.
_PADDED = 3


class ClaimError(AssertionError):
    """A measurement contradicts its claim."""


@dataclass(frozen=True)
class Claim:
    """A checked claim, as strings ready to be shown.

    Attributes
    ----------
    identifier
        A short name, unique in the book, used as its anchor.
    statement
        The claim in one sentence.
    source
        Where it comes from: a theorem, an equation, or "measured".
    predicted, measured
        The two values, rounded to the precision that the tolerance speaks of.
    tolerance
        How close they must be.
    holds
        Whether they are.
    """

    identifier: str
    statement: str
    source: str
    predicted: str
    measured: str
    tolerance: str
    holds: bool

    def __repr__(self) -> str:
        verdict = "holds" if self.holds else "FAILS"
        return (
            f"{self.identifier} {verdict}: predicted {self.predicted}, "
            f"measured {self.measured} ({self.tolerance}) [{self.source}]"
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            MIME_TYPE: asdict(self),
        }

    def _repr_html_(self) -> str:
        text = {name: html.escape(str(value)) for name, value in asdict(self).items()}
        verdict = "holds" if self.holds else "fails"
        rows = "".join(
            f"<div><dt>{name.capitalize()}</dt><dd>{text[name]}</dd></div>"
            for name in ("predicted", "measured", "tolerance", "source")
        )
        return (
            f'<div class="samlib-claim" id="claim-{text["identifier"]}">'
            f'<p><span class="samlib-claim-verdict">Claim {verdict}</span> '
            f"{text['statement']}</p><dl>{rows}</dl></div>"
        )


def check(
    identifier: str,
    *,
    predicted: ArrayLike,
    measured: ArrayLike,
    rtol: float | None = None,
    atol: float | None = None,
    source: str,
    statement: str,
) -> Claim:
    """Compare a measurement with its prediction: |measured − predicted| ≤ atol + rtol·|predicted|.

    NaN and infinity satisfy no claim.

    Parameters
    ----------
    identifier
        Lower-case letters, digits, dots and hyphens; unique in the book.
    predicted, measured
        Numbers, or arrays or tensors of one shape, or booleans (then no tolerance is needed).
    rtol, atol
        Relative and absolute tolerance, at least one of them for numbers.
    source
        The theorem, equation or experiment that the prediction comes from.
    statement
        The claim in one sentence.

    Returns
    -------
    Claim
        Displays predicted and measured, rounded to the precision of the tolerance, so that what
        is stored in a notebook does not depend on the last bits of a machine's arithmetic.

    Raises
    ------
    ClaimError
        If the claim does not hold.
    ValueError
        If an argument is malformed.

    Examples
    --------
    >>> import samlib
    >>> samlib.claims.check(
    ...     "square-root", predicted=1.41421, measured=2**0.5, rtol=1e-4,
    ...     source="arithmetic", statement="The square root of two.")
    square-root holds: predicted 1.4142, measured 1.4142 (relative 0.0001) [arithmetic]
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", require_text("identifier", identifier)):
        raise ValueError(
            "identifier must consist of lower-case letters, digits, dots and hyphens, "
            f"got {identifier!r}"
        )
    expected, found = _comparable(predicted, measured)
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance is not None:
            require_number(name, tolerance)
    for name, text in (("source", source), ("statement", statement)):
        if not require_text(name, text):
            raise ValueError(f"{name} must not be empty, got {text!r}")
    exact = expected.dtype == bool
    if not exact and rtol is None and atol is None:
        raise ValueError("give rtol or atol: a comparison of numbers needs a tolerance")
    claim = Claim(
        identifier,
        statement,
        source,
        _show(expected, rtol, atol),
        _show(found, rtol, atol),
        "exact" if exact else _show_tolerance(rtol, atol),
        _agree(expected, found, rtol or 0.0, atol or 0.0),
    )
    if not claim.holds:
        raise ClaimError(f"{claim!r}; unrounded: {expected.tolist()} against {found.tolist()}")
    return claim


def _comparable(predicted: ArrayLike, measured: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both as arrays of one shape and one kind, numbers or booleans, with at least one entry."""
    expected, found = _array("predicted", predicted), _array("measured", measured)
    if expected.shape != found.shape:
        raise ValueError(
            f"predicted and measured must have the same shape, got {expected.shape} "
            f"and {found.shape}: {shown(predicted)} against {shown(measured)}"
        )
    if expected.size == 0:
        raise ValueError(
            "predicted and measured must have something to compare and not be empty, "
            f"got shape {expected.shape}"
        )
    if (expected.dtype == bool) != (found.dtype == bool):
        raise ValueError(
            "predicted and measured must be both booleans or both numbers, "
            f"got {shown(predicted)} and {shown(measured)}"
        )
    return expected, found


def _array(name: str, values: ArrayLike) -> NDArray[Any]:
    detach = getattr(values, "detach", None)
    try:
        array = np.asarray(detach().cpu() if detach is not None else values)
    except ValueError:  # lists of different lengths
        raise ValueError(f"{name} must be one array of numbers, got {shown(values)}") from None
    if array.dtype == bool:
        return array
    if not np.issubdtype(array.dtype, np.integer) and not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must be real numbers or booleans, got {shown(values)}")
    return array.astype(np.float64)  # small integer types would wrap around in the difference


def _agree(expected: NDArray[Any], found: NDArray[Any], rtol: float, atol: float) -> bool:
    if expected.dtype == bool:
        return bool((expected == found).all())
    # NaN and infinity never pass: a relative tolerance of an infinite prediction allows anything.
    if not (np.isfinite(expected).all() and np.isfinite(found).all()):
        return False
    return bool((np.abs(found - expected) <= atol + rtol * np.abs(expected)).all())


def _show_tolerance(rtol: float | None, atol: float | None) -> str:
    if not rtol and not atol:
        return "exact"
    parts = [("relative", rtol), ("absolute", atol)]
    return ", ".join(f"{name} {value:.2g}" for name, value in parts if value is not None)


def _show(values: NDArray[Any], rtol: float | None, atol: float | None) -> str:
    if values.dtype == bool:
        return ", ".join("yes" if value else "no" for value in values.reshape(-1))
    flat = values.reshape(-1)
    shown = ", ".join(_show_number(float(value), rtol, atol) for value in flat[:_SHOWN_ENTRIES])
    return shown if len(flat) <= _SHOWN_ENTRIES else f"{shown}, … ({len(flat)} values)"


def _show_number(value: float, rtol: float | None, atol: float | None) -> str:
    """Round to the digits that the tolerance distinguishes, six at most.

    Zeros at the end are kept where the tolerance is coarse: 1.00 says how close to 1 it is.
    """
    if not math.isfinite(value):
        return str(value)
    digits = 6 if not rtol else min(max(math.ceil(-math.log10(rtol)) + 1, 2), 6)
    decimals = min(max(math.ceil(-math.log10(atol)), 0), 12) if atol else None
    if decimals is not None:
        value = round(value, decimals)
        padded = decimals <= _PADDED and abs(value) < 10 ** (digits - decimals)
        shown = f"{value + 0.0:.{decimals}f}" if padded else f"{value + 0.0:.{digits}g}"
    else:
        padded = digits <= _PADDED + 1 and 1e-4 <= abs(value) < 10**digits
        shown = f"{value:#.{digits}g}".removesuffix(".") if padded else f"{value + 0.0:.{digits}g}"
    return shown.replace("-", "−", 1) if value < 0 else shown
