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
import warnings
from collections.abc import Iterator
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

# Chains that run side by side: as many as cost little more than one, as few as errors can bear.
_MOST_CHAINS, _FEWEST_CHAINS = 512, 32

# The slowest mode of the residuals decays so many times by 1/e before anything is counted, in at
# most so many steps.
_RELAXATIONS, _MOST_STEPS_BEFORE = 8, 50_000

# States of so many steps are added up at once.
_BLOCK = 32


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
        averages = run_chains(gram, lr, batch_size, samples, generator, bar)
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
    _require_stable(curvatures, lr)
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


def run_chains(
    gram: Tensor,
    lr: float,
    batch_size: int | None,
    samples: int,
    generator: torch.Generator,
    bar: ProgressBar,
) -> Averages:
    """Average over so many states of independent chains, once they are stationary."""
    kernel = gram.detach().cpu().double()
    values = torch.linalg.eigvalsh(kernel)
    steepest = values[-1:] / len(kernel) if batch_size is None else kernel.diagonal()
    _require_stable(steepest, lr)
    # By which a step shortens ‖J⁺r‖ on average at least, but for the jump of the perturbation.
    rate = lr * float(values[0]) * (1 - lr * float(steepest.max()) / 2) / len(kernel)
    chains = min(_MOST_CHAINS, max(_FEWEST_CHAINS, how_many_at_once(4 * len(kernel) ** 2)))
    walk = _Walk(kernel, lr, batch_size, chains, generator)
    for block in _blocks(_steps_before(rate)):
        for _ in walk.go(block):
            bar.update()
    steps = math.ceil(samples / chains)
    sums = [walk.add_up(block, bar) for block in _blocks(steps)]
    residuals, perturbed, lengths, squares, drawn = (
        torch.stack(each).sum(dim=0) / steps for each in zip(*sums, strict=True)
    )
    # M E w_k is one. How much more or less a chain has drawn an example is most of the noise.
    excess = drawn - 1
    perturbed = perturbed - excess.unsqueeze(-1) * perturbed.mean(dim=0)
    lengths = lengths - excess * lengths.mean(dim=0)
    return Averages(residuals, perturbed, lengths, squares, steps)


class _Walk:
    """Many independent chains of residuals, side by side: r is [chains, M]."""

    def __init__(
        self,
        gram: Tensor,
        lr: float,
        batch_size: int | None,
        chains: int,
        generator: torch.Generator,
    ) -> None:
        self._gram, self._lr, self._batch_size = gram, lr, batch_size
        self._generator = generator
        normal = torch.randn(chains, len(gram), generator=generator, dtype=gram.dtype)
        # About where the stationary law is: ηh√h for a curvature h.
        scale = lr * float(gram.diagonal().mean())
        self.r = scale * normal @ torch.linalg.cholesky(gram).mT

    def go(self, steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Go so many steps; give the residuals before each, a, and w, all [chains, M]."""
        for weights in self._weights(steps):
            before = self.r
            pull = weights * before
            slope = pull @ self._gram
            # Almost never are all residuals of a batch zero, so that it has no direction.
            length = (pull * slope).sum(dim=-1, keepdim=True).clamp(min=1e-300).sqrt()
            a = before + slope / length
            self.r = before - self._lr * ((weights * a) @ self._gram)
            yield before, a, weights

    def add_up(self, steps: int, bar: ProgressBar) -> tuple[Tensor, ...]:
        """What :class:`Averages` averages, and M w, summed over so many steps."""
        states = []
        for state in self.go(steps):
            states.append(state)
            bar.update()
        r, a, weights = (torch.stack(each, dim=1) for each in zip(*states, strict=True))
        weights = weights * len(self._gram)
        pull = weights * a
        sums = r.mT @ r, pull.mT @ a, pull.abs().sum(dim=1), (pull**2).mT @ a**2
        return *sums, weights.sum(dim=1)

    def _weights(self, steps: int) -> Tensor:
        """The weights of the examples in the batches of so many steps, [steps, chains, M]."""
        chains, examples = self.r.shape
        weights: Tensor = self.r.new_zeros(steps, chains, examples)
        if self._batch_size is None:
            return weights.fill_(1 / examples)
        shape = (steps, chains, self._batch_size)
        k = torch.randint(examples, shape, generator=self._generator)
        share = weights.new_full((1, 1, 1), 1 / self._batch_size).expand(shape)
        return weights.scatter_add_(2, k, share)


def _blocks(steps: int) -> list[int]:
    """So many steps, cut into blocks."""
    return [min(_BLOCK, steps - first) for first in range(0, steps, _BLOCK)]


def require_gram(gram: Tensor) -> Tensor:
    """Return K if it is symmetric and positive definite, otherwise raise."""
    if require_tensor("gram", gram).dim() != 2 or gram.shape[0] != gram.shape[1] or not len(gram):
        raise ValueError(f"gram must have shape [M, M], M ≥ 1, got {tuple(gram.shape)}")
    if not bool(gram.isfinite().all()):
        raise ValueError(f"gram must be finite, got {shown(gram)}")
    rounding = 100 * torch.finfo(gram.dtype).eps
    if not bool(((gram - gram.mT).abs() <= rounding * gram.abs().max()).all()):
        raise ValueError(f"gram must be symmetric, got {shown(gram)}")
    values = torch.linalg.eigvalsh(gram.detach().cpu().double())
    if not float(values[0]) > rounding * float(values[-1]):
        raise ValueError(
            "gram must be positive definite, the gradients linearly independent, got "
            f"{shown(gram)}; its eigenvalues go from {float(values[0]):.2g} to "
            f"{float(values[-1]):.2g}"
        )
    return gram.detach()


def require_batch_size(batch_size: int | None) -> int | None:
    """Return m, or None for all examples, otherwise raise."""
    return None if batch_size is None else require_count("batch_size", batch_size, minimum=1)


def _require_stable(curvatures: Tensor, lr: float) -> None:
    largest = float(curvatures.max())
    if not lr * largest < 2:
        raise ValueError(
            f"lr must be below {2 / largest:.6g}, two over the largest curvature of a batch, "
            f"got {lr}"
        )


def _steps_before(rate: float) -> int:
    """After how many steps the chains are stationary, if their slowest mode decays at that rate."""
    steps = math.ceil(_RELAXATIONS / rate)
    if steps > _MOST_STEPS_BEFORE:
        warnings.warn(
            f"the slowest mode of the residuals decays by 1/e in {1 / rate:.2g} steps; after "
            f"{_MOST_STEPS_BEFORE} steps the chains may not be stationary",
            RuntimeWarning,
            stacklevel=4,
        )
    return min(steps, _MOST_STEPS_BEFORE)
