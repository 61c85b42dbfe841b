"""Random spectra with clusters at their top, as they are where eigenvalues are easily skipped."""

from __future__ import annotations

import math

import torch
from scipy.stats import binom
from torch import Tensor

from samlib import Operator


class Draws:
    """Random numbers of one seed."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        unit = torch.rand(shape, generator=self._generator, dtype=torch.float64)
        return low + (high - low) * unit

    def power(self, low: float, high: float) -> float:
        """A number whose decimal logarithm is uniform."""
        return 10 ** float(self.uniform(low, high))

    def whole(self, low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=self._generator))


def clustered(seed: int) -> Tensor:
    """A spectrum of 100 to 2,000: clusters from 1 on down above a bulk of either sign.

    Exact copies, or copies that differ by 1e-12 to 1e-2; gaps between clusters from 1e-4 to .4.
    """
    draw = Draws(seed)
    dim, center, top = int(draw.power(2, 3.3)), 1.0, []
    for _ in range(draw.whole(1, 6)):
        width = 0.0 if draw.whole(0, 2) == 0 else draw.power(-12, -2)
        top.append(center * (1 - width * draw.uniform(0, 1, draw.whole(1, 5))))
        center *= 1 - draw.power(-4, -0.4)
    above = torch.cat(top)
    edge, decay = float(above.min()) * float(draw.uniform(0.05, 1)), draw.power(0, 1)
    bulk = edge * draw.uniform(0, 1, dim - len(above)) ** decay
    negative = draw.uniform(0, 1, len(bulk)) < draw.whole(0, 2) / 4
    return torch.cat([above, torch.where(negative, -bulk * draw.power(-1, 0.5), bulk)])


def reflected(spectrum: Tensor, seed: int, dtype: torch.dtype = torch.float64) -> Operator:
    """An operator with this spectrum and eigenvectors of either sign in no axis's direction."""
    generator = torch.Generator().manual_seed(seed)
    normals = torch.randn(2, len(spectrum), generator=generator, dtype=torch.float64)
    one, two = normals / normals.norm(dim=1, keepdim=True)

    def reflect(vector: Tensor, normal: Tensor) -> Tensor:
        return vector - 2 * (normal @ vector) * normal

    def matvec(vector: Tensor) -> Tensor:
        image = spectrum * reflect(reflect(vector.double(), one), two)
        return reflect(reflect(image, two), one).to(dtype)

    return Operator(len(spectrum), torch.device("cpu"), dtype, matvec)


def most_failures(cases: int, probability: float) -> int:
    """How many failures of this probability each come up in all but one of a thousand runs."""
    return int(binom.ppf(0.999, cases, probability))


def top(spectrum: Tensor, k: int) -> Tensor:
    return spectrum.sort(descending=True).values[:k]


def distance_in_units(values: Tensor, truth: Tensor, errors: Tensor) -> float:
    """The largest |value − truth| / error: at most 1 if the errors hold; NaN counts as more."""
    ratio = float(((values.double() - truth).abs() / errors.double()).max())
    return math.inf if math.isnan(ratio) else ratio
