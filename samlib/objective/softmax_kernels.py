"""Derivatives of Σ_n g_n ℓ_n, with ℓ = log Σ_c exp z_c − z_y the cross-entropy of logits z.

With p = softmax(z), the gradient of ℓ is p − e_y and its second derivative is diag(p) − p pᵀ. Both
are applied a block of logits at a time, and nothing of the size of all is made beside the results.

If the logits are a linear layer's, z = W h + b, the derivatives are taken in h, W and b at once and
the logits are made again, block by block. A block need not have all classes of a row: the mean
Σ_c p_c ż_c of a change ż = W ḣ + Ẇ h + ḃ is ⟨Wᵀp, ḣ⟩ + ⟨Ẇᵀp, h⟩ + ⟨p, ḃ⟩.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Theta = tuple[Tensor | None, ...]
"""The logits (z,), or what makes them, (h, W, b), as for ``F.linear``: b may be None."""

Parts = Sequence[Tensor | None]
"""Something for each of theta, None where it is not wanted or zero."""

ROWS_AT_ONCE = 1024
LOGITS_AT_ONCE = {"cpu": 1 << 19, "cuda": 1 << 24}
"""So many floats are in reach of a core, and keep a GPU busy."""


def logits_of(theta: Theta) -> Tensor:
    """All the logits, in an arithmetic in which they can be summed."""
    z = theta[0] if len(theta) == 1 else F.linear(given(theta[0]), given(theta[1]), theta[2])
    return summable(given(z))


def summable(values: Tensor) -> Tensor:
    """The values in float64, or else in float32."""
    return values if values.dtype == torch.float64 else values.float()


def given(part: Tensor | None) -> Tensor:
    """A part that is not None."""
    assert part is not None
    return part


def chosen(parts: Parts, wants: Sequence[bool]) -> tuple[Tensor, ...]:
    """The parts that are wanted."""
    return tuple(given(part) for part, wanted in zip(parts, wants, strict=True) if wanted)


def placed(parts: Iterable[Tensor], wants: Sequence[bool]) -> Theta:
    """The wanted parts, each at its place, and None at the other places."""
    left = iter(parts)
    return tuple(next(left) if wanted else None for wanted in wants)


def log_sums_of(logits: Tensor) -> Tensor:
    """log Σ_c exp z_c of each row."""
    return torch.cat([summable(logits[r]).logsumexp(-1) for r in _whole_rows(logits)])


def means_of(logits: Tensor, log_sums: Tensor, weight: Tensor) -> Tensor:
    """Wᵀp of each row, the mean of the rows of W [classes, features]."""
    parts = []
    for r in _row_blocks(len(logits)):
        part = weight.new_zeros(())  # nothing is written into: the logits may be a vmap's
        for c in _class_blocks(len(logits[r]), logits.shape[1], logits.device):
            part = torch.addmm(part, (logits[r, c] - log_sums[r, None]).exp(), weight[c])
        parts.append(part)
    return torch.cat(parts)


class LogitsKernel:
    """The derivatives in the logits z [rows, classes] themselves."""

    def __init__(self, theta: Theta, labels: Tensor, log_sums: Tensor) -> None:
        self._z, self._labels, self._log_sums = given(theta[0]), labels, log_sums

    def first(self, g: Tensor) -> tuple[Tensor, ...]:
        """The gradient of Σ g ℓ."""
        result = torch.empty_like(self._z)
        for r in _whole_rows(self._z):
            slopes = self._softmax(r).mul_(g[r, None])
            at = self._labels[r, None]
            slopes.scatter_(1, at, slopes.gather(1, at) - g[r, None])
            result[r] = slopes
        return (result,)

    def second(self, g: Tensor, tangents: Parts) -> tuple[Tensor, ...]:
        """⟨∇ℓ_n, u⟩ of each row, and the second derivative of Σ g ℓ times u."""
        u, result = given(tangents[0]), torch.empty_like(self._z)
        along = torch.empty_like(self._log_sums)
        for r in _whole_rows(self._z):
            p, there = self._softmax(r), summable(u[r])
            mean = (p * there).sum(-1)
            along[r] = mean - there.gather(1, self._labels[r, None]).squeeze(1)
            result[r] = (there - mean[:, None]).mul_(p).mul_(g[r, None])
        return along, result

    def _softmax(self, rows: slice) -> Tensor:
        return (summable(self._z[rows]) - self._log_sums[rows, None]).exp_()


class LayerKernel:
    """The derivatives in h [rows, features], W [classes, features] and b [classes] or None.

    Parameters
    ----------
    theta
        (h, W, b).
    labels, log_sums, means
        y, log Σ exp z and, if known, Wᵀp of each row.
    wants
        In which of theta.
    logits
        z, where it is still there.
    """

    def __init__(
        self,
        theta: Theta,
        labels: Tensor,
        log_sums: Tensor,
        means: Tensor | None,
        wants: Sequence[bool],
        logits: Tensor | None = None,
    ) -> None:
        self._h, self._weight, self._bias = given(theta[0]), given(theta[1]), theta[2]
        self._labels, self._log_sums, self._means = labels, log_sums, means
        self._wants, self._z = wants, logits

    def first(self, g: Tensor) -> tuple[Tensor, ...]:
        """The gradient of Σ g ℓ in each of theta that is wanted."""
        of_h, of_weight, of_bias = self._wants
        dweight, dbias = self._zeros(self._weight, of_weight), self._zeros(self._bias, of_bias)
        if of_weight or of_bias:
            for r, c in self._blocks():
                p = self._softmax(r, c)
                if dweight is not None:
                    dweight[c].addmm_(p.T, g[r, None] * self._h[r])
                if dbias is not None:
                    dbias[c].addmv_(p.T, g[r])
        self._add_at_labels(dweight, -g[:, None] * self._h)
        self._add_at_labels(dbias, -g)
        dh = g[:, None] * (self._all_means() - self._weight[self._labels]) if of_h else None
        return tuple(part for part in (dh, dweight, dbias) if part is not None)

    def second(self, g: Tensor, tangents: Parts, *, residuals: bool = True) -> tuple[Tensor, ...]:
        """⟨∇ℓ_n, u⟩ of each row, and the second derivative of Σ g ℓ times u, where wanted.

        Without the residuals, the latter takes the logits for linear in theta: it is JᵀMJu, with J
        their Jacobian and M the second derivative in them.
        """
        uh, uweight, _ = tangents
        mean, crossed = self._mean_change(tangents)
        dh, dweight, dbias = map(self._zeros, (self._h, self._weight, self._bias), self._wants)
        for r, c in self._blocks():
            p = self._softmax(r, c)
            change = self._change(tangents, r, c).sub_(mean[r, None]).mul_(p)
            if dh is not None:
                dh[r].addmm_(change, self._weight[c])
            if dweight is not None:
                dweight[c].addmm_(change.T, g[r, None] * self._h[r])
                if residuals and uh is not None:
                    dweight[c].addmm_(p.T, g[r, None] * uh[r])
            if dbias is not None:
                dbias[c].addmv_(change.T, g[r])
        if dh is not None:
            if residuals and uweight is not None:
                dh += crossed - uweight[self._labels]
            dh *= g[:, None]
        if residuals and uh is not None:
            self._add_at_labels(dweight, -g[:, None] * uh)
        along = mean - self._change_at_labels(tangents)
        return (along, *(part for part in (dh, dweight, dbias) if part is not None))

    def _mean_change(self, tangents: Parts) -> tuple[Tensor, Tensor]:
        """Σ_c p_c ż_c of each row, and Ẇᵀp."""
        uh, uweight, ubias = tangents
        mean, crossed = torch.zeros_like(self._log_sums), torch.zeros_like(self._h)
        if uweight is not None or ubias is not None:
            for r, c in self._blocks():
                p = self._softmax(r, c)
                if uweight is not None:
                    crossed[r].addmm_(p, uweight[c])
                if ubias is not None:
                    mean[r].addmv_(p, ubias[c])
            mean += (self._h * crossed).sum(-1)
        if uh is not None:
            mean += (uh * self._all_means()).sum(-1)
        return mean, crossed

    def _change(self, tangents: Parts, rows: slice, classes: slice) -> Tensor:
        """Ż = W ḣ + Ẇ h + ḃ, a block of it."""
        uh, uweight, ubias = tangents
        change = self._h.new_zeros(()) if ubias is None else ubias[classes]
        if uh is not None:
            change = torch.addmm(change, uh[rows], self._weight[classes].T)
        if uweight is not None:
            change = torch.addmm(change, self._h[rows], uweight[classes].T)
        return change if change.dim() == 2 else change.repeat(len(self._h[rows]), 1)

    def _change_at_labels(self, tangents: Parts) -> Tensor:
        uh, uweight, ubias = tangents
        change = torch.zeros_like(self._log_sums)
        if uh is not None:
            change += (uh * self._weight[self._labels]).sum(-1)
        if uweight is not None:
            change += (self._h * uweight[self._labels]).sum(-1)
        return change if ubias is None else change + ubias[self._labels]

    def _softmax(self, rows: slice, classes: slice) -> Tensor:
        if self._z is None:
            bias = None if self._bias is None else self._bias[classes]
            z = F.linear(self._h[rows], self._weight[classes], bias)
            return z.sub_(self._log_sums[rows, None]).exp_()
        return (self._z[rows, classes] - self._log_sums[rows, None]).exp_()

    def _all_means(self) -> Tensor:
        if self._means is None:
            self._means = torch.zeros_like(self._h)
            for r, c in self._blocks():
                self._means[r].addmm_(self._softmax(r, c), self._weight[c])
        return self._means

    def _add_at_labels(self, sums: Tensor | None, values: Tensor) -> None:
        if sums is not None:
            sums.index_add_(0, self._labels, values)

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        for r in _row_blocks(len(self._h)):
            for c in _class_blocks(len(self._h[r]), len(self._weight), self._h.device):
                yield r, c

    @staticmethod
    def _zeros(part: Tensor | None, wanted: bool) -> Tensor | None:
        return torch.zeros_like(given(part)) if wanted else None


def _whole_rows(logits: Tensor) -> Iterator[slice]:
    return _steps(len(logits), _at_once(logits.device) // max(1, logits.shape[-1]))


def _row_blocks(rows: int) -> Iterator[slice]:
    return _steps(rows, ROWS_AT_ONCE)


def _class_blocks(rows: int, classes: int, device: torch.device) -> Iterator[slice]:
    return _steps(classes, _at_once(device) // max(1, rows))


def _steps(length: int, step: int) -> Iterator[slice]:
    return (slice(start, start + max(1, step)) for start in range(0, length, max(1, step)))


def _at_once(device: torch.device) -> int:
    return LOGITS_AT_ONCE.get(device.type, LOGITS_AT_ONCE["cuda"])
