"""Explore a network of your own: its three sharpnesses, its top eigenvalues, and L around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samlib.widgets.figures.explore.widget import Explore

if TYPE_CHECKING:
    from torch import nn

    from samlib.objective import Chosen, Data, LossFunction, ModelLossFunction, SizeArgument


def explore(
    model: nn.Module,
    loss_fn: LossFunction | None = None,
    data: Data | None = None,
    *,
    loss: ModelLossFunction | None = None,
    size: SizeArgument = None,
    parameters: Chosen | None = None,
    rho: float = 0.05,
    k: int = 5,
    samples: int = 512,
    seed: int = 0,
) -> Explore:
    """Explore the sharpness of your own network, in a notebook: pick ρ and see what it is.

    The figure shows R^Max, R^Asc and R^Avg (:mod:`samlib.sharpness`) with their errors at each ρ
    that was picked, beside what the quadratic model of the loss predicts; the loss along the
    worst direction, the gradient and one random direction; the top eigenvalues; and how the
    gradient is aligned with their eigenvectors. It is computed in the background, on the model's
    device, and can be cancelled.

    Parameters
    ----------
    model, loss_fn, data
        As for :meth:`samlib.Objective.from_module`. The network is explored as it is now: a copy
        of it is kept, and it is never changed.
    loss, size, parameters
        As for :meth:`samlib.Objective.from_loss`: ``loss``, of model and batch, stands instead of
        ``loss_fn``.
    rho
        The first ρ, from 10⁻⁶ to 1000. The trait ``rho`` picks another.
    k
        How many eigenvalues are computed, if the network has as many parameters.
    samples
        How many values of L estimate R^Avg at each ρ, even and at least 4.
    seed
        Fixes the random directions, the same at each ρ.

    Returns
    -------
    Explore
        A widget. ``wait()`` waits for what is being measured; then ``results``, ``sharpness`` (at
        the present ρ), ``point`` (what does not depend on ρ) and ``to_dataframe()`` hold it.
        ``sweep()`` measures at seven radii, ``cancel()`` and ``close()`` stop.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong, or the loss cannot be computed or is not finite.

    Notes
    -----
    R^Max is a lower bound, the best that a search found; its error is the slope that is left there.
    R^Asc is exact up to rounding. R^Avg is an estimate with its standard error. The lines of the
    quadratic model are max over ‖v‖ ≤ 1 of ρ∇L·v + ½ρ² vᵀ∇²L v, which tends to ρ‖∇L‖ for small ρ
    and to ½ρ²λ₁ for large; ρ‖∇L‖ + ½ρ² uᵀ∇²L u with u = ∇L/‖∇L‖; and ½ρ² Tr(∇²L)/D.

    A page without a kernel shows what was measured when the figure was displayed: call ``wait()``
    first. A DataLoader is iterated in the background and draws from torch's global random numbers
    then, unless it has a generator of its own.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(3, 1)
    >>> inputs = torch.eye(3)
    >>> figure = explore(model, torch.nn.MSELoss(), (inputs, inputs.sum(1, keepdim=True)))
    >>> figure.wait()
    Explore(Linear with 4 parameters, rho=0.05, 1 radius measured)
    >>> figure.rho = 0.1
    >>> sharpness = figure.wait().sharpness
    >>> bool(sharpness["worst"].value >= sharpness["ascent"].value - 1e-6)
    True
    >>> figure.to_dataframe()["notion"].tolist()
    ['worst', 'ascent', 'average', 'worst', 'ascent', 'average']
    >>> figure.close()
    """
    return Explore(
        model,
        loss_fn,
        data,
        loss=loss,
        size=size,
        parameters=parameters,
        rho=rho,
        k=k,
        samples=samples,
        seed=seed,
    )
