"""What the three notions become on the minimizers as ρ → 0 (Definition 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from samlib.curvature import EigenResult, smallest_nonzero_eigenvalue, top_eigenpairs, trace
from samlib.estimate import Estimate, show_with_error
from samlib.objective import Objective, require_objective


@dataclass(frozen=True, eq=False)
class LimitingRegularizers:
    """S = lim R_ρ/ρ² on Γ for the three notions (Definition 4.1), each with its error.

    Attributes
    ----------
    worst
        S^Max = λ₁/2.
    ascent
        S^Asc = λ_M/2. It is a lower limit: R^Asc/ρ² depends on the direction from which Γ is
        approached and takes every value from λ_M/2 to λ₁/2.
    average
        S^Avg = Tr(∇²L)/(2D).
    """

    worst: Estimate
    ascent: Estimate
    average: Estimate

    @property
    def ascent_band(self) -> tuple[Tensor, Tensor]:
        """The limits λ_M/2 and λ₁/2 between which R^Asc/ρ² lies near Γ."""
        return self.ascent.value, self.worst.value

    def __repr__(self) -> str:
        parts = {"worst": self.worst, "ascent": self.ascent, "average": self.average}
        shown = (f"{name}={show_with_error(e.value, e.error)}" for name, e in parts.items())
        return f"LimitingRegularizers({', '.join(shown)})"


def limiting_regularizers(
    objective: Objective, x: Tensor, *, rank: int | None = None, progress: bool = True
) -> LimitingRegularizers:
    """S^Max, S^Asc and S^Avg at a minimizer x (Definition 4.1).

    Parameters
    ----------
    objective
        The loss.
    x
        Points of Γ, [..., dim].
    rank
        M, the rank of ∇²L on Γ, if it is known; see :func:`smallest_nonzero_eigenvalue`.
    progress
        Whether to show a bar if it takes more than two seconds.

    Examples
    --------
    >>> import torch, samlib
    >>> landscape = samlib.landscapes.FourDimensional()
    >>> samlib.limiting_regularizers(landscape, torch.zeros(4).double())
    LimitingRegularizers(worst=8, ascent=6, average=3.5)
    """
    require_objective(objective)
    top = top_eigenpairs(objective, x, progress=progress)
    bottom = smallest_nonzero_eigenvalue(objective, x, rank=rank, progress=progress)
    total = trace(objective, x, progress=progress)
    scale = 1 / (2 * objective.dim)
    return LimitingRegularizers(
        _half(top),
        _half(bottom),
        replace(total, value=total.value * scale, error=total.error * scale),
    )


def _half(pairs: EigenResult) -> Estimate:
    return Estimate(
        pairs.values[..., 0] / 2, pairs.errors[..., 0] / 2, pairs.products, pairs.converged
    )
