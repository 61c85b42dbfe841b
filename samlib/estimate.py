"""A number that was estimated, with the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.special import ndtr, stdtrit
from torch import Tensor

# The probability that a normal deviate is at most two standard deviations above its mean.
_WITHIN_TWO = float(ndtr(2.0))

_SHOWN = 6

_SIX_DIGITS = 5e-7


@dataclass(frozen=True, eq=False)
class Estimate:
    """A value with its standard error.

    Attributes
    ----------
    value
        The estimate, [...].
    error
        Its standard error, [...]: about 68 % of estimates lie within one of the truth, 95 %
        within two. Only rounding is left in it where nothing was drawn.
    products
        The number of Hessian-vector products spent per point.
    converged
        Whether the error is within what was asked for; NaN is not.
    """

    value: Tensor
    error: Tensor
    products: int
    converged: bool

    def __repr__(self) -> str:
        return (
            f"Estimate({show_with_error(self.value, self.error)}, "
            f"{self.products} products{'' if self.converged else ', not converged'})"
        )


def students_factor(freedom: float) -> float:
    """What multiplies a standard error known from so many values: 95 % are within two then.

    >>> round(students_factor(4), 2)
    1.43
    """
    return float(stdtrit(max(1.0, freedom), _WITHIN_TWO)) / 2


def show_with_error(values: Tensor, errors: Tensor) -> str:
    """Write values with their errors, the largest index of a batch last, the first six."""
    # An error below the digits that are written would say nothing.
    errors = torch.where(errors <= _SIX_DIGITS * values.abs(), 0.0, errors)
    pairs = list(zip(values.reshape(-1).tolist(), errors.reshape(-1).tolist(), strict=True))
    shown = [f"{value:.4g} ± {error:.1g}" if error else f"{value:.6g}" for value, error in pairs]
    shown = shown[:_SHOWN]
    more = "" if len(pairs) <= _SHOWN else f", … ({len(pairs)} in all)"
    return shown[0] if values.dim() == 0 else f"[{', '.join(shown)}{more}]"
