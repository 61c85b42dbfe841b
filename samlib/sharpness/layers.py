"""Where in a network its sharpness is: curvature, gradient and sharpness of each layer."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_fraction,
    require_number,
    require_probability,
    require_seed,
)
from samlib.curvature import EigenResult, hessian, hessian_block, top_eigenpairs, trace
from samlib.curvature.alignment import largest_sine
from samlib.curvature.small import is_small
from samlib.curvature.through_outputs import require_network
from samlib.estimate import Estimate, show_with_error
from samlib.linalg import Operator, norm
from samlib.linalg.dense import DENSE_DIM, at_least_single
from samlib.objective import ModuleObjective, Objective
from samlib.sharpness.grouping import Grouping, group_parameters
from samlib.sharpness.notions import Sharpness
from samlib.sharpness.rounding import evaluations_for_rounding, measured_rounding, rounding_of

# So many layers are named in a warning.
_NAMED = 3


@dataclass(frozen=True, eq=False)
class Layers:
    """What is known of each layer of a network at a point, with its error.

    Attributes
    ----------
    names
        Of the layers, in the order of the network or of ``by``.
    weights
        The number of each one's weights, [layers].
    norms
        ‖w‖ of these weights, [layers].
    gradient_norms
        ‖g‖ of the gradient in them, [layers].
    gradient_shares
        The share of each in ‖∇L‖², [layers]; NaN if the gradient is exactly zero.
    top_eigenvalues
        λ₁ of each one's diagonal block of ∇²L, [layers]. ``error`` is how far the value may be from
        it, as in :class:`EigenResult`.
    traces
        The trace of the block, [layers].
    eigenvector_shares
        The share of each in ‖v₁‖² = 1, v₁ the top eigenvector of the whole ∇²L, [layers]. ``error``
        is a bound, from the residual of v₁ and the gap to λ₂ (Davis and Kahan, 1970). Where it is
        near 1 the two are too close, and the share says nothing.
    sharpness
        How much L rises at distance ρ along the gradient in the layer alone, the other weights
        held, [layers]; None if ρ was not given.
    whole
        λ₁ and λ₂ of the whole ∇²L, with their vectors.
    products
        The number of products with each block, [layers]. Those with the whole are in ``whole``.
    converged
        Whether the errors of λ₁ and trace are what was asked for, [layers].
    """

    names: tuple[str, ...]
    weights: Tensor
    norms: Tensor
    gradient_norms: Tensor
    gradient_shares: Tensor
    top_eigenvalues: Estimate
    traces: Estimate
    eigenvector_shares: Estimate
    sharpness: Sharpness | None
    whole: EigenResult
    products: Tensor
    converged: Tensor

    def to_dataframe(self) -> pd.DataFrame:
        """One row per layer: its name, and all that is known of it."""
        columns = {
            "weights": self.weights,
            "norm": self.norms,
            "gradient_norm": self.gradient_norms,
            "gradient_share": self.gradient_shares,
        }
        for name, estimate in self.estimates.items():
            columns |= {name: estimate.value, f"{name}_error": estimate.error}
        columns |= {"products": self.products, "converged": self.converged}
        numbers = {name: column.cpu().numpy() for name, column in columns.items()}
        return pd.DataFrame({"layer": self.names, **numbers})

    @property
    def estimates(self) -> dict[str, Estimate | Sharpness]:
        """What has an error, by the name of its column."""
        found: dict[str, Estimate | Sharpness] = {
            "top_eigenvalue": self.top_eigenvalues,
            "trace": self.traces,
            "eigenvector_share": self.eigenvector_shares,
        }
        return found if self.sharpness is None else {**found, "ascent_direction": self.sharpness}

    def __repr__(self) -> str:
        top, values = self.whole, self.top_eigenvalues.value
        products = top.products + int(self.products.sum())
        return (
            f"Layers({len(self.names)} of them, λ₁ from {float(values.min()):.3g} to "
            f"{float(values.max()):.3g}, of the whole "
            f"{show_with_error(top.values[0], top.errors[0])}, {products} products"
            f"{'' if bool(self.converged.all()) else ', not converged'})"
        )


def layerwise(
    objective: Objective,
    x: Tensor,
    *,
    by: str | Sequence[str] | Mapping[str, str | Sequence[str]] = "module",
    rho: float | None = None,
    rtol: float = 1e-2,
    trace_rtol: float = 0.05,
    confidence: float = 0.99,
    seed: int = 0,
    max_products: int = 150,
    progress: bool = True,
) -> Layers:
    """Curvature, gradient and sharpness of a network's loss, layer by layer.

    The curvature of a layer is that of L as a function of its weights alone, the others held: the
    diagonal block of ∇²L, which differs much between the layers of a transformer (Zhang et al.,
    2024). No block has a larger λ₁ than the whole. The traces of all layers add up to that of
    the whole, often with a smaller error than :func:`trace` reaches, because what lies outside of
    the blocks adds no noise. What layers do together is outside of them: of it the table holds the
    share of each in the top eigenvector of the whole.

    λ₁ and trace depend on how a network is written. Where one rectified layer is multiplied by c
    and the next divided by c, the network is the same, but λ₁ of the weights of the first is
    divided by c². λ₁‖w‖² is not: to compare layers of different scale, multiply these columns.

    Parameters
    ----------
    objective
        The loss of a network, from :meth:`Objective.from_module`.
    x
        One point, [dim].
    by
        What a layer is. "module": the parameters of one submodule. "parameter": each on its own. Or
        a list of names and shell patterns, such as ``["h.0.*", "h.1.*"]``, or a dict of such
        under names, ``{"attention": "*.attn.*", "norms": ["*.ln_1.*", "*.ln_2.*"]}``; these may
        overlap, or leave parameters out. A tied parameter has the first of its names.
    rho
        ρ > 0: measure also how much L rises at distance ρ along the gradient in each layer alone.
    rtol, trace_rtol
        Errors of λ₁ and of the trace at which to stop, relative to those of the same layer.
    confidence
        The probability with which no eigenvalue is skipped, for each layer; see
        :func:`top_eigenpairs`.
    seed
        Fixes the random vectors of the traces.
    max_products
        Stop after so many products for λ₁, and after so many for the trace, of each layer and of
        the whole. Mostly 20 to 60 are needed with a block, by :func:`hessian_block`. Layers of at
        most 64 weights are computed exactly. One graph at a time is in memory.
    progress
        Whether to show a bar if it takes more than two seconds.

    Raises
    ------
    TypeError
        If objective is not a network's, or by is none of these.
    ValueError
        If by names no parameter, a number is out of range, or x has the wrong shape.

    Warns
    -----
    RuntimeWarning
        If the errors of a layer, or of the whole, are larger than asked for. So is that of the
        trace where the eigenvalues of a layer have both signs and cancel.

    Examples
    --------
    >>> import torch, samlib
    >>> data = torch.eye(3).double(), torch.tensor([[1.0], [2.0], [0.0]]).double()
    >>> model, loss_fn = torch.nn.Linear(3, 1).double(), torch.nn.MSELoss()
    >>> objective = samlib.Objective.from_module(model, loss_fn, data)
    >>> layers = samlib.layerwise(objective, objective.flat_parameters(), by="parameter")
    >>> layers.to_dataframe()[["layer", "weights", "top_eigenvalue", "trace"]]
        layer  weights  top_eigenvalue  trace
    0  weight        3        0.666667    2.0
    1    bias        1        2.000000    2.0
    """
    network, x = require_network(objective, x), x.detach()
    grouping = group_parameters(by, network)
    radius = None if rho is None else require_number("rho", rho, positive=True)
    require_fraction("rtol", rtol)
    require_fraction("trace_rtol", trace_rtol)
    require_probability("confidence", confidence)
    seed = require_seed("seed", seed)
    require_count("max_products", max_products, minimum=4)
    gradient = network.gradient(x)  # before the warnings below, for those of a first evaluation

    def search(matrix: Operator, k: int = 1) -> EigenResult:
        return top_eigenpairs(
            matrix,
            k=k,
            rtol=rtol,
            confidence=confidence,
            max_products=max_products,
            progress=False,
        )

    def measure(block: Operator) -> tuple[EigenResult, Estimate]:
        block = _formed_if_small(block)
        return search(block), trace(
            block, rtol=trace_rtol, seed=seed, max_products=max_products, progress=False
        )

    with (
        ProgressBar(len(grouping) + 1, "layers", require_flag("progress", progress)) as bar,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)  # one warning is for all layers
        whole = search(hessian(network, x), k=min(2, network.dim))
        bar.update()
        blocks = []
        for names in grouping.layers.values():
            blocks.append(measure(hessian_block(network, x, *names)))
            bar.update()
    sharpness = None if radius is None else _ascents(network, x, radius, grouping)
    result = _collected(x, gradient, grouping, whole, blocks, sharpness)
    _warn_of_errors(result, rtol, trace_rtol)
    return result


def _formed_if_small(operator: Operator) -> Operator:
    """The same matrix, written out if it is small, so that both searches need its rows once."""
    if not is_small(operator):
        return operator
    matrix, nearby = operator.to_dense(), operator.nearby
    return replace(
        operator,
        matvec=lambda v: matrix @ v,
        nearby=None if nearby is None else functools.cache(lambda: _formed_if_small(nearby())),
    )


def _collected(
    x: Tensor,
    gradient: Tensor,
    grouping: Grouping,
    whole: EigenResult,
    blocks: Sequence[tuple[EigenResult, Estimate]],
    sharpness: Sharpness | None,
) -> Layers:
    tops, totals = zip(*blocks, strict=True)
    gradient_norms = grouping.norms(gradient)
    products = [
        top.products + (total.products if len(top.vectors) > DENSE_DIM else 0)
        for top, total in blocks
    ]
    return Layers(
        tuple(grouping.layers),
        grouping.weights,
        grouping.norms(x),
        gradient_norms,
        (gradient_norms / norm(at_least_single(gradient))).square(),
        Estimate(
            torch.stack([top.values[0] for top in tops]),
            torch.stack([top.errors[0] for top in tops]),
            max(top.products for top in tops),
            all(top.converged for top in tops),
        ),
        Estimate(
            torch.stack([total.value for total in totals]),
            torch.stack([total.error for total in totals]),
            max(total.products for total in totals),
            all(total.converged for total in totals),
        ),
        _eigenvector_shares(grouping, whole),
        sharpness,
        whole,
        torch.tensor(products),
        torch.tensor([top.converged and total.converged for top, total in blocks]),
    )


def _eigenvector_shares(grouping: Grouping, whole: EigenResult) -> Estimate:
    """‖Pv‖² for the vector v found and each layer's P, and how far ‖Pv₁‖² may be from it.

    With θ = ∠(v, v₁), the difference of the two is at most sin θ, the norm of vvᵀ − v₁v₁ᵀ; and
    that of ‖Pv‖ and ‖Pv₁‖ at most ‖v − v₁‖ = 2 sin θ/2, which is less where the share is small.
    """
    lengths = grouping.norms(whole.vectors[:, 0])
    sine = largest_sine(whole.values, whole.errors)
    apart = 2 * math.sin(math.asin(sine) / 2)
    errors = (2 * lengths * apart + apart**2).clamp(max=sine)
    rounding = torch.finfo(lengths.dtype).eps * lengths.square()
    return Estimate(lengths.square(), errors + rounding, whole.products, whole.converged)


def _ascents(network: ModuleObjective, x: Tensor, rho: float, grouping: Grouping) -> Sharpness:
    """The rise of L at distance ρ along the gradient in each layer alone, [layers]."""

    def losses(at: Tensor) -> tuple[Tensor, Tensor]:
        steps = grouping.steps(network.gradient(at), rho)
        return network.value(at), torch.stack([network.value(at + step) for step in steps])

    def rises(at: Tensor) -> Tensor:
        before, after = losses(at)
        return after - before

    before, after = losses(x)
    rise = after - before
    measured = measured_rounding(network, x, rises, rise)
    own = network.rounding_unit(x) * rise.abs()
    error = rounding_of(before) + rounding_of(after) + measured + own
    evaluations = (len(grouping) + 2) * (1 + evaluations_for_rounding(network, x))
    return Sharpness(rise, None, error, "exact", "ascent_direction", evaluations)


def _warn_of_errors(layers: Layers, rtol: float, trace_rtol: float) -> None:
    """One warning for all errors that are larger than asked for; NaN needs none."""
    tops, traces = layers.top_eigenvalues, layers.traces
    known = (tops.value.isfinite() & traces.value.isfinite()).cpu()
    unsure = [layers.names[i] for i in (known & ~layers.converged).nonzero()[:, 0].tolist()]
    if not layers.whole.converged and bool(layers.whole.values.isfinite().all()):
        unsure.insert(0, "the whole")
    if not unsure:
        return
    more = "" if len(unsure) <= _NAMED else f" and {len(unsure) - _NAMED} more"
    warnings.warn(
        f"the error of λ₁ is more than {rtol:g} of it, or that of the trace more than "
        f"{trace_rtol:g}, in {', '.join(unsure[:_NAMED])}{more}: max_products did not suffice (the "
        "trace of a layer whose eigenvalues have both signs needs many), or the arithmetic is too "
        "coarse; see the errors",
        RuntimeWarning,
        stacklevel=3,
    )
