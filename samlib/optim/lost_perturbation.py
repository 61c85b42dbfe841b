"""Whether the perturbation survives in the dtype of the weights: w + ε may round back to w."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from samlib.linalg import norm
from samlib.optim.shards import part
from samlib.optim.space import Space, quotient
from samlib.optim.vectors import split

EVERY = 100
WARNED = 0.1
REFUSED = 0.9
CHUNK = 1 << 18  # numbers that are compared at once: more would take memory like the weights


class Rounding:
    """Looks at the first perturbation and then at one in a hundred, since looking makes one wait.

    With ε the perturbation and ε' = (w + ε) − w the one that the rounded weights take, the share
    ‖ε' − ε‖/‖ε‖ is lost: 1 if all weights round back to where they were.
    """

    def __init__(self) -> None:
        self._first, self._warned = True, False
        self._until = 0  # how many perturbations to pass over

    def due(self) -> bool:
        """Count a perturbation, and say whether it is to be compared."""
        self._until -= 1
        return self._until < 0 and not self._warned

    def compare(
        self,
        before: Sequence[Tensor],
        after: Sequence[Tensor],
        perturbation: Tensor,
        space: Space,
        *,
        name: str,
        rho: str,
    ) -> None:
        """Refuse or warn if the weights before and after do not differ by the perturbation [D].

        ``name`` and ``rho`` say in an error whose perturbation it is.
        """
        share = float(lost_share(before, after, perturbation, space))
        said = (
            f"the perturbation of {name} with rho={rho} is too small for weights in "
            f"{_dtypes(after)}: rounding of w + ε loses {share:.0%} of ε; keep the weights in a "
            "wider dtype (with torch.autocast, they stay in float32) or use a larger rho"
        )
        if self._first and share > REFUSED:
            raise ValueError(said)
        self._first, self._until = False, EVERY - 1
        if share > WARNED:
            self._warned = True
            warnings.warn(said, RuntimeWarning, stacklevel=2)


def lost_share(
    before: Sequence[Tensor], after: Sequence[Tensor], perturbation: Tensor, space: Space
) -> Tensor:
    """‖ε' − ε‖/‖ε‖ with ε' = after − before, on the device; 0 if ε is zero."""
    lost, whole = [], []
    for old, new, piece in zip(before, after, split(perturbation, after), strict=True):
        flat = part(new).detach().flatten(), old.flatten(), piece
        chunks = list(zip(*(torch.split(each, CHUNK) for each in flat), strict=True))
        lost.append(_norm(n.to(e) - o.to(e) - e for n, o, e in chunks))
        whole.append(_norm(e for _, _, e in chunks))
    return quotient(norm(space.norms(lost)), norm(space.norms(whole))).squeeze(-1)


def _norm(chunks: Iterable[Tensor]) -> Tensor:
    return norm(torch.cat([norm(chunk) for chunk in chunks]))


def _dtypes(tensors: Sequence[Tensor]) -> str:
    return " and ".join(dict.fromkeys(str(t.dtype) for t in tensors))
