"""Real data that needs no download, or almost none: digits, MNIST-1D and CIFAR-10."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from samlib._validation import (
    require_count,
    require_device,
    require_dtype,
    require_flag,
    require_instance,
    require_seed,
)


class Digits(NamedTuple):
    """Handwritten digits, 8 × 8 pixels, as rows of 64 numbers, with their labels."""

    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


def digits(
    train_rows: int = 1000, *, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> Digits:
    """Load scikit-learn's digits, split once and for all into training and test rows.

    Parameters
    ----------
    train_rows
        How many of the 1,797 images to train on; the rest are for testing.
    dtype, device
        Of the inputs. Pixels are scaled to [0, 1], then each of the 64 is centred with the mean
        of the training rows.

    Returns
    -------
    Digits
        inputs [train_rows, 64], targets [train_rows] (int64), and the same for the test rows.

    Raises
    ------
    ValueError
        If train_rows is not between 1 and 1,796.
    ImportError
        If scikit-learn is missing: install ``samlib[data]``.

    Examples
    --------
    >>> import samlib
    >>> samlib.problems.digits().inputs.shape
    torch.Size([1000, 64])
    """
    require_count("train_rows", train_rows, minimum=1)
    require_dtype("dtype", dtype)
    require_device("device", device)
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("the digits need scikit-learn: pip install 'samlib[data]'") from error
    images, labels = load_digits(return_X_y=True)
    if train_rows >= len(images):
        raise ValueError(f"train_rows must be below {len(images)}, got {train_rows}")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    inputs = torch.as_tensor(images, dtype=torch.float64)[order] / 16
    inputs = (inputs - inputs[:train_rows].mean(dim=0)).to(device=device, dtype=dtype)
    targets = torch.as_tensor(labels)[order].to(device)
    return Digits(
        inputs[:train_rows], targets[:train_rows], inputs[train_rows:], targets[train_rows:]
    )


class MNIST1D(NamedTuple):
    """MNIST-1D: ten shapes as signals of 40 numbers, with their labels."""

    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


def mnist1d(
    train_rows: int = 4000,
    *,
    seed: int = 42,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> MNIST1D:
    """Generate MNIST-1D (Greydanus and Kobak, 2024, arXiv:2011.14439), 5,000 signals in all.

    Each signal is one of ten templates of 12 points that stand for the digits: padded, stretched,
    scaled, shifted, covered with noise, sheared, and sampled at 40 points. The authors' own
    generator makes them on this machine, which takes seconds; nothing is downloaded. It is harder
    than it looks: logistic regression gets 32 % of the test rows right, a perceptron 68 %.

    Parameters
    ----------
    train_rows
        How many of the 5,000 signals to train on; the rest are for testing.
    seed
        Fixes the signals and their order, without touching any global random state. The authors'
        data set has seed 42.
    dtype, device
        Of the inputs. Over all 5,000 signals their mean is 0 and their standard deviation 1.

    Returns
    -------
    MNIST1D
        inputs [train_rows, 40], targets [train_rows] (int64), and the same for the test rows.

    Raises
    ------
    ValueError
        If train_rows is not between 1 and 4,999, or the seed is not between 0 and 2³² − 1.
    ImportError
        If the package mnist1d is missing: install ``samlib[data]``.

    Examples
    --------
    >>> import samlib
    >>> samlib.problems.mnist1d().inputs.shape
    torch.Size([4000, 40])
    """
    require_count("train_rows", train_rows, minimum=1)
    seed = require_seed("seed", seed, bits=32)  # NumPy's
    require_dtype("dtype", dtype)
    require_device("device", device)
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError as error:
        raise ImportError("MNIST-1D needs mnist1d: pip install 'samlib[data]'") from error
    arguments = get_dataset_args()
    if train_rows >= arguments.num_samples:
        raise ValueError(f"train_rows must be below {arguments.num_samples}, got {train_rows}")
    arguments.seed = seed
    with _global_random_state_kept():
        made = make_dataset(arguments)
    signals, labels = (np.concatenate([made[k], made[f"{k}_test"]]) for k in ("x", "y"))
    inputs = torch.as_tensor(signals).to(device=device, dtype=dtype)
    targets = torch.as_tensor(labels).to(device=device, dtype=torch.int64)
    return MNIST1D(
        inputs[:train_rows], targets[:train_rows], inputs[train_rows:], targets[train_rows:]
    )


@contextlib.contextmanager
def _global_random_state_kept() -> Iterator[None]:
    """Undo what the code inside does to the random state of NumPy and of Python."""
    states = np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])


class CIFAR10(NamedTuple):
    """CIFAR-10: colour photographs of ten kinds of things, 32 × 32 pixels, with their labels."""

    inputs: Tensor
    targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


def cifar10(
    root: str | Path,
    *,
    train_rows: int | None = None,
    download: bool = False,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> CIFAR10:
    """Load CIFAR-10 from a folder, with torchvision, which can fetch it there first.

    It is the one data set here that does not come with a package: 163 MiB from the network, once.

    Parameters
    ----------
    root
        The folder that holds, or is to hold, ``cifar-10-batches-py``.
    train_rows
        How many of the 50,000 training images to use, the first ones; all if not given. There are
        always 10,000 images for testing.
    download
        Fetch what is missing in the folder.
    dtype, device
        Of the inputs. Each colour is shifted and scaled so that over the training images used its
        mean is 0 and its standard deviation 1; the test images are treated in the same way.

    Returns
    -------
    CIFAR10
        inputs [train_rows, 3, 32, 32], targets [train_rows] (int64), and the same for the test
        rows.

    Raises
    ------
    ImportError
        If torchvision is missing: install it beside your version of torch.
    RuntimeError
        From torchvision, if the files are missing or damaged and ``download`` is False.
    ValueError
        If train_rows is out of range, or the files hold no images of CIFAR-10's shape.

    Examples
    --------
    >>> import samlib
    >>> data = samlib.problems.cifar10("data", download=True)  # doctest: +SKIP
    >>> data.inputs.shape  # doctest: +SKIP
    torch.Size([50000, 3, 32, 32])
    """
    require_instance("root", root, (str, Path), "the path of a folder")
    if train_rows is not None:
        require_count("train_rows", train_rows, minimum=1)
    require_flag("download", download)
    require_dtype("dtype", dtype)
    require_device("device", device)
    try:
        from torchvision import datasets
    except ImportError as error:
        raise ImportError(
            "CIFAR-10 needs torchvision, in the version that fits your torch: "
            "pip install torchvision"
        ) from error
    parts = [datasets.CIFAR10(root=root, train=train, download=download) for train in (True, False)]
    images, labels, test_images, test_labels = (
        array for part in parts for array in _images_and_labels(part)
    )
    rows = len(images) if train_rows is None else train_rows
    if rows > len(images):
        raise ValueError(f"train_rows must be at most {len(images)}, got {rows}")
    images, labels = images[:rows], labels[:rows]
    mean, std = (part.to(dtype).view(3, 1, 1) for part in _mean_and_std(images))

    def scaled(images: Tensor) -> Tensor:
        return images.to(dtype).sub_(mean).div_(std).to(device)

    return CIFAR10(scaled(images), labels.to(device), scaled(test_images), test_labels.to(device))


def _mean_and_std(images: Tensor) -> tuple[Tensor, Tensor]:
    """Of each colour of images of bytes, [3] and [3]: from exact counts, with little memory."""
    counts = torch.stack(
        [torch.bincount(images[:, c].reshape(-1), minlength=256) for c in range(3)]
    ).double()
    shares, levels = counts / counts.sum(dim=1, keepdim=True), torch.arange(256).double()
    mean = shares @ levels
    return mean, (shares * (levels - mean.unsqueeze(1)) ** 2).sum(dim=1).sqrt()


def _images_and_labels(dataset: Any) -> tuple[Tensor, Tensor]:
    """The images [rows, 3, 32, 32], from 0 to 255, and the labels [rows] of torchvision's set."""
    images, labels = torch.as_tensor(dataset.data), torch.as_tensor(dataset.targets)
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1:] != (32, 32, 3):
        raise ValueError(
            "CIFAR-10 must hold bytes of shape [rows, 32, 32, 3], got "
            f"{images.dtype} of shape {list(images.shape)}"
        )
    if labels.shape != images.shape[:1] or not 0 <= int(labels.min()) <= int(labels.max()) <= 9:
        raise ValueError(
            f"CIFAR-10 must have a label from 0 to 9 for each of its {len(images)} images"
        )
    return images.permute(0, 3, 1, 2), labels.to(torch.int64)
