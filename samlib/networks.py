"""Networks of the book, with weights from a seed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from samlib._validation import (
    require_count,
    require_device,
    require_dtype,
    require_seed,
    shown,
)
from samlib.landscapes import TanhNetwork


def perceptron(
    sizes: tuple[int, ...], *, seed: int, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> nn.Sequential:
    """A multilayer perceptron with tanh units, initialized from a seed.

    Parameters
    ----------
    sizes
        The widths of the layers, input and output included.
    seed
        Fixes the initial weights, without touching torch's global random state.
    dtype, device
        Of the parameters.

    Raises
    ------
    TypeError, ValueError
        If sizes has fewer than two entries, or a width or the seed is not a fitting integer.

    Examples
    --------
    >>> import samlib
    >>> sum(p.numel() for p in samlib.problems.perceptron((64, 32, 10), seed=0).parameters())
    2410
    """
    if isinstance(sizes, str) or not isinstance(sizes, Sequence):
        raise TypeError(f"sizes must be a tuple of widths, got {shown(sizes)}")
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least the input and the output, got {shown(sizes)}")
    for width in sizes:
        require_count("every width in sizes", width, minimum=1)
    seed = require_seed("seed", seed)
    require_dtype("dtype", dtype)
    require_device("device", device)
    with _weights_from(seed):
        layers: list[nn.Module] = []
        for width, next_width in pairwise(sizes):
            layers += [nn.Linear(width, next_width, dtype=dtype), nn.Tanh()]
    return nn.Sequential(*layers[:-1]).to(device)


class _Residual(nn.Module):
    """Two convolutions, and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _convolution(inputs, outputs, 3, stride, dtype),
            nn.ReLU(),
            _convolution(outputs, outputs, 3, 1, dtype),
        )
        changes = stride != 1 or inputs != outputs
        self.shortcut = (
            _convolution(inputs, outputs, 1, stride, dtype) if changes else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both ways, through a ReLU."""
        return torch.relu(self.convolutions(x) + self.shortcut(x))


def _convolution(
    inputs: int, outputs: int, size: int, stride: int, dtype: torch.dtype
) -> nn.Sequential:
    """A convolution and a normalization over each half of the channels."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False, dtype=dtype),
        nn.GroupNorm(2, outputs, dtype=dtype),
    )


def resnet(
    depth: int = 20,
    *,
    width: int = 16,
    classes: int = 10,
    seed: int,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> nn.Sequential:
    """A residual network for images such as CIFAR-10's, initialized from a seed.

    The network of He, Zhang, Ren and Sun (2016, Section 4.2): one convolution, then three stages of
    (depth − 2)/6 residual blocks, the second and third with half the resolution and twice the
    channels of the one before, then a mean over the image and a linear layer. Two things differ
    from it. Where the number of channels changes, the way around the block has a convolution of its
    own. And channels are normalized in two groups (Wu and He, 2018) in place of batches, so that
    the loss of a row does not depend on the other rows of its batch: L stays the mean of its
    components, which 1-SAM and m-SAM rely on, and is the same in training as in evaluation.

    Parameters
    ----------
    depth
        The number of layers on the longest way, 6n + 2: 8, 14, 20, …
    width
        The number of channels of the first stage, even.
    classes
        The number of outputs.
    seed
        Fixes the initial weights, without touching torch's global random state.
    dtype, device
        Of the parameters.

    Raises
    ------
    TypeError, ValueError
        If depth is not 6n + 2, width is odd, or a number or the seed is not a fitting integer.

    Examples
    --------
    >>> import torch, samlib
    >>> model = samlib.problems.resnet(depth=8, width=4, seed=0)
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    require_count("depth", depth, minimum=8)
    if (depth - 2) % 6:
        raise ValueError(f"depth must be 6n + 2, such as 8, 14 or 20, got {depth}")
    require_count("width", width, minimum=2)
    if width % 2:
        raise ValueError(f"width must be even, got {width}")
    require_count("classes", classes, minimum=1)
    seed = require_seed("seed", seed)
    require_dtype("dtype", dtype)
    require_device("device", device)
    with _weights_from(seed):
        layers: list[nn.Module] = [_convolution(3, width, 3, 1, dtype), nn.ReLU()]
        channels = width
        for stage in range(3):
            for block in range((depth - 2) // 6):
                halves = stage > 0 and block == 0
                outputs = width * 2**stage
                layers.append(_Residual(channels, outputs, 2 if halves else 1, dtype))
                channels = outputs
        layers += [
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, classes, dtype=dtype),
        ]
    return nn.Sequential(*layers).to(device)


@contextlib.contextmanager
def _weights_from(seed: int) -> Iterator[None]:
    """Initialize what is made inside from a seed, and put the random state back."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed the accelerators too.
        torch.default_generator.manual_seed(seed)
        yield


class InterpolatingNetwork(NamedTuple):
    """A network that can fit its few data points exactly, and weights to start from."""

    objective: TanhNetwork
    start: Tensor


def interpolating_network(
    *,
    inputs: int = 3,
    hidden: int = 10,
    points: int = 5,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> InterpolatingNetwork:
    """A small tanh network with more weights than random data points, and a random start.

    Its minimizers, the weights that fit every point, form a manifold Γ of dimension dim − points:
    the paper's Setting 5.1, on which full-batch SAM follows the limiting flow of λ₁ and 1-SAM
    that of the trace.

    Parameters
    ----------
    inputs, hidden, points
        The numbers of inputs, of hidden units and of data points; dim = hidden · (inputs + 2).
    seed
        Fixes the data and the start, without touching torch's global random state.
    dtype, device
        Of the start. All is drawn in float64 on the CPU, standard normal: first the inputs, then
        the targets, then the start.

    Returns
    -------
    InterpolatingNetwork
        ``objective``, a :class:`samlib.landscapes.TanhNetwork`, and ``start`` [dim].

    Raises
    ------
    TypeError, ValueError
        If a number or the seed is not a fitting integer, or points is not below dim.

    Examples
    --------
    >>> import samlib
    >>> network, start = samlib.problems.interpolating_network()
    >>> network, start.shape
    (TanhNetwork(inputs=3, hidden=10, points=5), torch.Size([50]))
    """
    for name, count in (("inputs", inputs), ("hidden", hidden), ("points", points)):
        require_count(name, count, minimum=1)
    seed = require_seed("seed", seed)
    require_dtype("dtype", dtype)
    require_device("device", device)
    dim = hidden * (inputs + 2)
    if points >= dim:
        raise ValueError(f"points must be below dim = {dim}, got {points}")
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(points, inputs, generator=generator, dtype=torch.float64)
    targets = torch.randn(points, generator=generator, dtype=torch.float64)
    start = torch.randn(dim, generator=generator, dtype=torch.float64)
    return InterpolatingNetwork(TanhNetwork(rows, targets, hidden=hidden), start.to(device, dtype))
