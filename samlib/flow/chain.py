"""The Markov chain of the residuals that SAM on mini-batches makes next to Γ, as ρ → 0 at fixed η.

Our calculation. Let L = (1/M) Σ_k ½ f_k², with f_k = 0 on Γ, and let J [M, dim] have the gradients
∇f_k as rows. Next to a point of Γ, a step of SAM on a mini-batch, in which example k has the weight
w_k, sees f only through J: with r = f/ρ and W = diag(w),

    a = r + K W r / ‖Jᵀ W r‖,    r ← r − η K W a,    K = J Jᵀ,

where a holds f/ρ at the perturbed point. η does not go to zero: the chain r has a stationary law of
its own, and its second moments decide how fast SAM drifts along Γ and in which direction
(:func:`samlib.flow.chain_drift`).

Any other loss of one output, ℓ(f_k) with its minimum at y_k and ℓ'' > 0 there, is of this form: the
f_k that counts is ±√(2 (ℓ(f_k) − ℓ(y_k))), which is smooth and has the gradient √ℓ'' ∇f_k on Γ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from samlib._batching import how_many_at_once
from samlib._progress import ProgressBar
from samlib._validation import (
    require_count,
    require_flag,
    require_number,
    require_seed,
    require_tensor,
    shown,
)
from samlib.flow.chain_walk import (
    Sampling,
    Walk,
    blocks,
    require_batch_size,
    require_gram,
    require_stable,
    stationary_walk,
)

# Chains that run side by side: as many as cost little more than one, as few as errors can bear.
_MOST_CHAINS, _FEWEST_CHAINS = 512, 32


@dataclass(frozen=True, eq=False)
class ChainMoments:
    """Stationary moments of the residuals of SAM next to Γ, for M examples.

    Residuals are in units of ρ: r = f/ρ before a step, a = f/ρ at its perturbed point, of all M
    examples. w_k is the weight of example k in the mean over the step's batch: M E w_k = 1.

    Attributes
    ----------
    residuals
        E r rᵀ, [M, M].
    perturbed
        M E(w_k a_k a_j), [M, M]: for batches of one, E(a_k a_j) over the steps that draw k.
    lengths
        M E(w_k |a_k|), [M].
    speeds
        M E(w a aᵀ) K⁻¹, [M, M], without a unit: what makes the drift (:func:`chain_drift`). For
        batches of one it tends to the identity as η → 0, and its symmetric part is diagonal, with
        ½ η E a_k² + E|a_k|/‖∇f_k‖ on the diagonal.
    residuals_error, perturbed_error, lengths_error, speeds_error
        Their standard errors, from the spread of independent chains.
    chains
        How many chains there were.
    steps
        Over how many steps of each chain the average is.
    effective_samples
        So many independent draws of the stationary law would give ``perturbed`` as exactly, for
        the sum of the squared errors of its entries; infinite where nothing varies.
    """

    residuals: Tensor
    perturbed: Tensor
    lengths: Tensor
    speeds: Tensor
    residuals_error: Tensor
    perturbed_error: Tensor
    lengths_error: Tensor
    speeds_error: Tensor
    chains: int
    steps: int
    effective_samples: float

    def __repr__(self) -> str:
        return (
            f"ChainMoments(examples={len(self.lengths)}, chains={self.chains}, "
            f"steps={self.steps}, effective_samples={self.effective_samples:.2g}, "
            f"speeds±{float(self.speeds_error.max()):.1g})"
        )


def residual_chain(
    gram: Tensor,
    lr: float,
    *,
    batch_size: int | None = 1,
    samples: int = 2**20,
    seed: int = 0,
    progress: bool = True,
) -> ChainMoments:
    """Run the chain of the residuals and average over its stationary law (our calculation).

    Parameters
    ----------
    gram
        K = J Jᵀ [M, M], the inner products of the examples' gradients ∇f_k at a point of Γ.
    lr
        η. With ‖∇f_k‖² = K_kk, ηK_kk < 2 for every k: no batch drives the residuals away then.
    batch_size
        m ≥ 1, how many examples a step draws, with replacement, as
        :class:`samlib.rules.StochasticSAM` does; None: no draw, all examples, as
        :class:`samlib.rules.SAM`. Then ηλ₁(K)/M < 2 is enough.
    samples
        Over how many states to average in all.
    seed
        Fixes starts and draws, which are made on the CPU.
    progress
        Whether to show a bar if it takes more than two seconds.

    Returns
    -------
    ChainMoments
        On the device and in the dtype of gram. The chain itself runs on the CPU in float64.

    Notes
    -----
    With all examples in every step nothing is drawn: the chain ends in SAM's two-cycle along the
    top eigenvector u of K (Theorem 4.8), with the speeds (2/(2 − ηλ₁))² u uᵀ, λ₁ = λ₁(K)/M. Where
    the top eigenvalue is not simple, it stays in the direction in which it came in; where the next
    one is less than about a hundredth below, it has not turned to u before it is counted.

    Raises
    ------
    ValueError
        If gram is not a symmetric positive definite matrix, η is out of range, or a number is.

    Warns
    -----
    RuntimeWarning
        If the slowest mode needs more steps to become stationary than are waited for.

    Examples
    --------
    Two examples whose gradients overlap. Alone, they would have the speeds (2/(2 − ηh))², 1.5625
    and 1.1080. Together, the sharper one is slower, the other faster, and a part of S appears that
    is not symmetric:

    >>> import torch
    >>> from samlib.flow import residual_chain
    >>> moments = residual_chain(torch.tensor([[4.0, 1.0], [1.0, 1.0]]).double(), 0.1)
    >>> moments.speeds
    tensor([[ 1.53..., -0.06...],
            [ 0.06...,  1.17...]], dtype=torch.float64)
    """
    gram = require_gram(gram)
    lr = require_number("lr", lr, positive=True)
    batch_size = require_batch_size(batch_size)
    samples = require_count("samples", samples, minimum=1)
    generator = torch.Generator().manual_seed(require_seed("seed", seed))
    require_flag("progress", progress)
    with ProgressBar(None, "chain of residuals", progress) as bar:
        averages = run_chains(gram, Sampling(lr, batch_size, samples, generator, bar))
    return averages.moments(gram)


def uncoupled_chain(curvatures: Tensor, lr: float) -> ChainMoments:
    """The moments for batches of one where the gradients are perpendicular, in closed form.

    With K = diag(h), example k's residual is touched by its own steps alone, and jumps from side
    to side: |r_k| = ηh_k^{3/2}/(2 − ηh_k), |a_k| = 2√h_k/(2 − ηh_k) (Theorem 4.8 for one
    example), at signs that are independent and fair. Its speed is (2/(2 − ηh_k))².

    Parameters
    ----------
    curvatures
        h_k = ‖∇f_k‖² > 0, [M].
    lr
        η, with ηh_k < 2.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import torch
    >>> from samlib.flow import uncoupled_chain
    >>> uncoupled_chain(torch.tensor([4.0, 1.0]).double(), 0.1).speeds.diagonal()
    tensor([1.5625, 1.1080], dtype=torch.float64)
    """
    if require_tensor("curvatures", curvatures).dim() != 1 or len(curvatures) == 0:
        raise ValueError(f"curvatures must have shape [M], M ≥ 1, got {tuple(curvatures.shape)}")
    if not bool(((curvatures > 0) & curvatures.isfinite()).all()):
        raise ValueError(f"curvatures must be finite and > 0, got {shown(curvatures)}")
    lr = require_number("lr", lr, positive=True)
    require_stable(curvatures, lr)
    lengths = 2 * curvatures.sqrt() / (2 - lr * curvatures)
    none = torch.zeros_like(torch.diag(curvatures))
    return ChainMoments(
        residuals=torch.diag((lr * curvatures * lengths / 2) ** 2),
        perturbed=torch.diag(lengths**2),
        lengths=lengths,
        speeds=torch.diag(lengths**2 / curvatures),
        residuals_error=none,
        perturbed_error=none,
        lengths_error=none[0],
        speeds_error=none,
        chains=0,
        steps=0,
        effective_samples=math.inf,
    )


@dataclass(frozen=True, eq=False)
class Averages:
    """Averages over the steps of each of many independent chains, [chains, ...].

    Attributes
    ----------
    residuals, perturbed, lengths, steps
        As in :class:`ChainMoments`, for each chain.
    squares
        M² E(w_k a_k a_j)², [chains, M, M].
    """

    residuals: Tensor
    perturbed: Tensor
    lengths: Tensor
    squares: Tensor
    steps: int

    def speeds(self, gram: Tensor) -> Tensor:
        """M E(w a aᵀ) K⁻¹ of each chain, [chains, M, M]."""
        transposed: Tensor = torch.linalg.solve(gram.cpu().double(), self.perturbed.mT)
        return transposed.mT

    def moments(self, gram: Tensor) -> ChainMoments:
        """The means over the chains with their errors, as gram is."""
        found: dict[str, Any] = {}
        for name in ("residuals", "perturbed", "lengths", "speeds"):
            each = self.speeds(gram) if name == "speeds" else getattr(self, name)
            found[name] = each.mean(dim=0).to(gram)
            found[f"{name}_error"] = (each.std(dim=0) / math.sqrt(len(each))).to(gram)
        mean = self.perturbed.mean(dim=0)
        variance = float((self.squares.mean(dim=0) - mean**2).sum())
        error = float(self.perturbed.var(dim=0).sum()) / len(self.perturbed)
        varies = variance > 1e-12 * float((mean**2).sum()) and error > 0
        effective = variance / error if varies else math.inf
        return ChainMoments(
            **found, chains=len(self.lengths), steps=self.steps, effective_samples=effective
        )


def run_chains(gram: Tensor, how: Sampling) -> Averages:
    """Average over so many states of independent chains, once they are stationary."""
    kernel = gram.detach().cpu().double()
    chains = min(_MOST_CHAINS, max(_FEWEST_CHAINS, how_many_at_once(4 * len(kernel) ** 2)))
    return averages(stationary_walk(kernel, chains, how), math.ceil(how.samples / chains))


def averages(walk: Walk, steps: int) -> Averages:
    """Average over so many steps of each chain of a walk, [..., chains, ...]."""
    sums = [walk.add_up(block) for block in blocks(steps)]
    residuals, perturbed, lengths, squares, drawn = (
        torch.stack(each).sum(dim=0) / steps for each in zip(*sums, strict=True)
    )
    # M E w_k is one. How much more or less a chain has drawn an example is most of the noise.
    excess = drawn - 1
    perturbed = perturbed - excess.unsqueeze(-1) * perturbed.mean(dim=-3, keepdim=True)
    lengths = lengths - excess * lengths.mean(dim=-2, keepdim=True)
    return Averages(residuals, perturbed, lengths, squares, steps)
