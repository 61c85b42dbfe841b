"""Whether the perturbation survives in the dtype of the weights: w + ε may round back to w."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from samlib.linalg import norm
from samlib.optim.vectors import quotient, split

EVERY = 100
WARNED = 0.1
REFUSED = 0.9


class Rounding:
    """Looks at the first perturbation and then at one in a hundred, since looking makes one wait.

    With ε the perturbation and ε' = (w + ε) − w the one that the rounded weights take, the share
    ‖ε' − ε‖/‖ε‖ is lost: 1 if all weights round back to where they were.
    """

    def __init__(self) -> None:
        self._perturbations = 0
        self._warned = False

    def look(
        self,
        before: Sequence[Tensor],
        after: Sequence[Tensor],
        perturbation: Tensor,
        of: str,
    ) -> None:
        """Compare the weights before and after with the perturbation [D], when it is time to.

        ``of`` says in an error whose perturbation it is and how large.
        """
        if self._perturbations % EVERY == 0 and not self._warned:
            self._compare(before, after, perturbation, of)
        self._perturbations += 1

    def _compare(
        self, before: Sequence[Tensor], after: Sequence[Tensor], perturbation: Tensor, of: str
    ) -> None:
        share = float(lost_share(before, after, perturbation))
        said = (
            f"{of} is too small for weights in {_dtypes(after)}: rounding of w + ε loses "
            f"{share:.0%} of ε; keep the weights in a wider dtype (with torch.autocast, they "
            "stay in float32) or use a larger rho"
        )
        if self._perturbations == 0 and share > REFUSED:
            raise ValueError(said)
        if share > WARNED:
            self._warned = True
            warnings.warn(said, RuntimeWarning, stacklevel=2)


def lost_share(before: Sequence[Tensor], after: Sequence[Tensor], perturbation: Tensor) -> Tensor:
    """‖ε' − ε‖/‖ε‖ with ε' = after − before, on the device; 0 if ε is zero."""
    lost, whole = [], []
    for old, new, piece in zip(before, after, split(perturbation, after), strict=True):
        moved = new.detach().flatten().to(piece) - old.flatten().to(piece)
        lost.append(norm(moved - piece))
        whole.append(norm(piece))
    return quotient(norm(torch.cat(lost)), norm(torch.cat(whole))).squeeze(-1)


def _dtypes(tensors: Sequence[Tensor]) -> str:
    return " and ".join(dict.fromkeys(str(t.dtype) for t in tensors))
