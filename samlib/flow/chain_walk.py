"""Many chains of residuals side by side: the steps of the chain of :mod:`samlib.flow.chain`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from samlib._progress import ProgressBar
from samlib._validation import require_count, require_tensor, shown

# The slowest mode of the residuals decays so many times by 1/e before anything is counted, in at
# most so many steps.
_RELAXATIONS, _MOST_STEPS_BEFORE = 8, 50_000

# States of so many steps are added up at once.
_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Sampling:
    """How the law of a chain is sampled.

    Attributes
    ----------
    lr, batch_size
        η, and how many examples m a step draws; None: all of them, and no draw.
    samples
        Over how many states to average.
    generator
        Makes starts and draws, on the CPU.
    bar
        Is told of each step.
    """

    lr: float
    batch_size: int | None
    samples: int
    generator: torch.Generator
    bar: ProgressBar


def stationary_walk(gram: Tensor, chains: int, how: Sampling) -> Walk:
    """So many independent chains, for one or several K [..., M, M], once they are stationary."""
    require_stable(steepest(gram, how), how.lr)
    walk = Walk(gram, chains, how)
    for block in blocks(_steps_before(decay_rate(gram, how))):
        for _ in walk.go(block):
            how.bar.update()
    return walk


def steepest(gram: Tensor, how: Sampling) -> Tensor:
    """The curvatures of which the largest bounds η: of single examples, or of all, [...]."""
    if how.batch_size is None:
        top: Tensor = torch.linalg.eigvalsh(gram)[..., -1]
        return top / gram.shape[-1]
    largest: Tensor = gram.diagonal(dim1=-2, dim2=-1).amax(dim=-1)
    return largest


def decay_rate(gram: Tensor, how: Sampling) -> float:
    """By which a step shortens ‖J⁺r‖ on average at least, but for the jump of the perturbation."""
    smallest = torch.linalg.eigvalsh(gram)[..., 0]
    rate = how.lr * smallest * (1 - how.lr * steepest(gram, how) / 2) / gram.shape[-1]
    return float(rate.min())


class Walk:
    """Many independent chains of residuals, side by side: r is [..., chains, M].

    For K [..., M, M], one or several, which all see the same draws.
    """

    def __init__(self, gram: Tensor, chains: int, how: Sampling) -> None:
        self._gram, self._how = gram, how
        normal = torch.randn(chains, gram.shape[-1], generator=how.generator, dtype=gram.dtype)
        # About where the stationary law is: ηh√h for a curvature h.
        scale = how.lr * gram.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None]
        self.r = scale * normal @ torch.linalg.cholesky(gram).mT

    def go(self, steps: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Go so many steps; give r before each and a, [..., chains, M], and w, [chains, M]."""
        for weights in self._weights(steps):
            before = self.r
            pull = weights * before
            slope = pull @ self._gram
            # Almost never are all residuals of a batch zero, so that it has no direction.
            length = (pull * slope).sum(dim=-1, keepdim=True).clamp(min=1e-300).sqrt()
            a = before + slope / length
            self.r = before - self._how.lr * ((weights * a) @ self._gram)
            yield before, a, weights

    def add_up(self, steps: int) -> tuple[Tensor, ...]:
        """What :class:`Averages` averages, and M w, summed over so many steps."""
        states = []
        for state in self.go(steps):
            states.append(state)
            self._how.bar.update()
        r, a, weights = (torch.stack(each, dim=-2) for each in zip(*states, strict=True))
        weights = weights * self._gram.shape[-1]
        pull = weights * a
        sums = r.mT @ r, pull.mT @ a, pull.abs().sum(dim=-2), (pull**2).mT @ a**2
        return *sums, weights.sum(dim=-2)

    def _weights(self, steps: int) -> Tensor:
        """The weights of the examples in the batches of so many steps, [steps, chains, M]."""
        chains, examples = self.r.shape[-2:]
        weights: Tensor = self.r.new_zeros(steps, chains, examples)
        if self._how.batch_size is None:
            return weights.fill_(1 / examples)
        shape = (steps, chains, self._how.batch_size)
        k = torch.randint(examples, shape, generator=self._how.generator)
        share = weights.new_full((1, 1, 1), 1 / self._how.batch_size).expand(shape)
        return weights.scatter_add_(2, k, share)


def blocks(steps: int) -> list[int]:
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


def require_stable(curvatures: Tensor, lr: float) -> None:
    """Raise if η is too large for one of the curvatures."""
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
