"""samlib.problems: shapes, determinism, and nothing touched that is not theirs."""

from __future__ import annotations

import random
import sys
import types
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn

from samlib import Objective, problems


def test_digits_are_scikit_learns_each_in_one_part(device: torch.device) -> None:
    data = problems.digits(1000, device=device.type)
    assert data.inputs.shape == (1000, 64)
    assert data.test_inputs.shape == (797, 64)
    assert data.targets.shape == (1000,)
    assert data.test_targets.shape == (797,)
    assert all(part.device.type == device.type for part in data)
    assert data.inputs.dtype == data.test_inputs.dtype == torch.float64
    assert data.targets.dtype == data.test_targets.dtype == torch.int64
    assert float(data.inputs.mean(dim=0).abs().max()) < 1e-14, "centred on the training rows"
    # Undo the centring: the rows with their labels are those of scikit-learn, in another order.
    images, labels = load_digits(return_X_y=True)
    rows = torch.cat([data.inputs, data.test_inputs]).cpu()
    targets = torch.cat([data.targets, data.test_targets]).cpu()
    mean = torch.as_tensor(images).mean(dim=0) / 16 - rows.mean(dim=0)
    ours = {(*r, t) for r, t in zip(((rows + mean) * 16).round().int().tolist(), targets.tolist())}  # noqa: B905
    theirs = {(*map(int, r), int(t)) for r, t in zip(images, labels)}  # noqa: B905
    assert ours == theirs


def test_digits_are_the_same_each_time() -> None:
    torch.manual_seed(1)
    first = problems.digits(500)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = problems.digits(500)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert problems.digits(7, dtype=torch.float32).inputs.dtype == torch.float32
    assert torch.equal(problems.digits(7).targets, first.targets[:7])


@pytest.mark.parametrize(
    ("rows", "error"), [(0, ValueError), (1797, ValueError), (-1, ValueError), (10.0, TypeError)]
)
def test_digits_refuse_an_impossible_number_of_rows(rows: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="train_rows"):
        problems.digits(rows)


def test_a_perceptron_has_the_layers_that_are_asked_for(
    device: torch.device, dtype: torch.dtype
) -> None:
    model = problems.perceptron((5, 4, 3, 2), seed=0, dtype=dtype, device=device.type)
    assert [type(layer) for layer in model] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert [tuple(p.shape) for p in model.parameters()] == [
        (4, 5),
        (4,),
        (3, 4),
        (3,),
        (2, 3),
        (2,),
    ]
    assert all(p.dtype == dtype and p.device.type == device.type for p in model.parameters())
    assert model(torch.ones(7, 5, dtype=dtype, device=device)).shape == (7, 2)


def test_a_perceptron_is_fixed_by_its_seed_and_leaves_the_global_state() -> None:
    def weights(seed: int) -> torch.Tensor:
        model = problems.perceptron((5, 4, 2), seed=seed)
        return torch.cat([p.detach().reshape(-1) for p in model.parameters()])

    first = weights(0)
    torch.manual_seed(9)
    state = torch.get_rng_state()
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_perceptron_does_not_seed_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    torch.manual_seed(0)
    assert seeded == [0], "what torch.manual_seed does"
    problems.perceptron((5, 4, 2), seed=3)
    assert seeded == [0]


@pytest.mark.parametrize(
    ("sizes", "seed", "error", "message"),
    [
        ((), 0, ValueError, "sizes"),
        ((3,), 0, ValueError, "sizes"),
        ((3, 0, 2), 0, ValueError, "sizes"),
        ((3, 2.5), 0, TypeError, "sizes"),
        ((3, 2), -1, ValueError, "seed"),
        ((3, 2), 0.5, TypeError, "seed"),
    ],
)
def test_a_perceptron_refuses_wrong_arguments(
    sizes: tuple[int, ...], seed: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        problems.perceptron(sizes, seed=seed)


@pytest.fixture(scope="module")
def signals() -> problems.MNIST1D:
    return problems.mnist1d()


def test_mnist1d_is_the_authors_data_set(signals: problems.MNIST1D) -> None:
    assert signals.inputs.shape == (4000, 40)
    assert signals.test_inputs.shape == (1000, 40)
    assert signals.targets.shape == (4000,)
    assert signals.test_targets.shape == (1000,)
    assert signals.inputs.dtype == signals.test_inputs.dtype == torch.float64
    assert signals.targets.dtype == signals.test_targets.dtype == torch.int64
    inputs = torch.cat([signals.inputs, signals.test_inputs])
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-12)
    assert float(inputs.std(correction=0)) == pytest.approx(1, abs=1e-12)
    targets = torch.cat([signals.targets, signals.test_targets])
    assert torch.bincount(targets).tolist() == [500] * 10


def test_mnist1d_is_as_hard_for_a_linear_model_as_published(signals: problems.MNIST1D) -> None:
    # The paper's table: logistic regression gets 32 % of the 1,000 test rows right.
    model = LogisticRegression(max_iter=500).fit(signals.inputs, signals.targets)
    accuracy = model.score(signals.test_inputs, signals.test_targets)
    assert accuracy == pytest.approx(0.32, abs=0.03)


def test_mnist1d_is_fixed_by_its_seed_and_leaves_every_global_state(
    signals: problems.MNIST1D, device: torch.device
) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    again = problems.mnist1d(4500, seed=42, dtype=torch.float32, device=device.type)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]
    assert all(part.device.type == device.type for part in again)
    assert len(again.targets) == 4500
    assert again.inputs.dtype == torch.float32
    assert torch.equal(again.inputs[:4000].cpu(), signals.inputs.float())
    assert torch.equal(again.test_targets.cpu(), signals.test_targets[500:])
    assert not torch.equal(problems.mnist1d(seed=1).inputs, signals.inputs)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"train_rows": 0}, ValueError, "train_rows"),
        ({"train_rows": 5000}, ValueError, "train_rows"),
        ({"train_rows": 10.0}, TypeError, "train_rows"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 2**32}, ValueError, "seed"),
    ],
)
def test_mnist1d_refuses_wrong_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        problems.mnist1d(**arguments)


class _Downloaded:
    """What torchvision.datasets.CIFAR10 makes of a folder: bytes and a list of labels."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, root: str, train: bool, download: bool) -> None:
        self.asked.append({"root": root, "train": train, "download": download})
        rows = 60 if train else 20
        draw = np.random.default_rng(int(train))
        self.data = draw.integers(0, 256, (rows, 32, 32, 3), dtype=np.uint8)
        self.targets = draw.integers(0, 10, rows).tolist()


def _install(monkeypatch: pytest.MonkeyPatch, dataset: type) -> None:
    """Put a torchvision in place that has this data set and nothing else."""
    module = types.ModuleType("torchvision")
    module.datasets = types.SimpleNamespace(CIFAR10=dataset)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", module)


@pytest.fixture
def photographs(monkeypatch: pytest.MonkeyPatch) -> type[_Downloaded]:
    monkeypatch.setattr(_Downloaded, "asked", [])
    _install(monkeypatch, _Downloaded)
    return _Downloaded


def test_cifar10_is_torchvisions_with_each_colour_scaled(
    photographs: type[_Downloaded], device: torch.device, dtype: torch.dtype
) -> None:
    data = problems.cifar10("folder", dtype=dtype, device=device.type)
    assert data.inputs.shape == (60, 3, 32, 32)
    assert data.test_inputs.shape == (20, 3, 32, 32)
    assert data.inputs.dtype == data.test_inputs.dtype == dtype
    assert data.targets.dtype == data.test_targets.dtype == torch.int64
    assert all(part.device.type == device.type for part in data)
    assert photographs.asked == [
        {"root": "folder", "train": train, "download": False} for train in (True, False)
    ]
    for train, inputs, targets in (
        (True, data.inputs, data.targets),
        (False, data.test_inputs, data.test_targets),
    ):
        raw = photographs("", train, False)
        assert targets.tolist() == raw.targets
        # The pixel in row 5 and column 7, of each colour: undo the scaling of the training images.
        of_training = photographs("", True, False).data
        for colour in range(3):
            pixels = of_training[..., colour].astype(float)
            expected = (raw.data[:, 5, 7, colour] - pixels.mean()) / pixels.std()
            found = inputs[:, colour, 5, 7].cpu().double().numpy()
            assert found == pytest.approx(expected, abs=1e-5)


def test_cifar10_uses_the_first_rows_and_downloads_when_told(
    photographs: type[_Downloaded],
) -> None:
    data = problems.cifar10("folder", train_rows=16, download=True)
    assert data.targets.tolist() == photographs("", True, False).targets[:16]
    assert float(data.inputs.mean()) == pytest.approx(0, abs=1e-6)
    assert float(data.inputs[:, 2].std(correction=0)) == pytest.approx(1, abs=1e-6)
    assert len(data.test_targets) == 20
    assert photographs.asked[0]["download"] is True


@pytest.mark.parametrize(("rows", "error"), [(0, ValueError), (61, ValueError), (10.0, TypeError)])
def test_cifar10_refuses_an_impossible_number_of_rows(
    photographs: type[_Downloaded], rows: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="train_rows"):
        problems.cifar10("folder", train_rows=rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.zeros((60, 28, 28), dtype=np.uint8)}, r"\[rows, 32, 32, 3\]"),
        ({"data": np.zeros((60, 32, 32, 3))}, "bytes"),
        ({"targets": [0] * 59}, "label"),
        ({"targets": [10] * 60}, "label"),
    ],
)
def test_cifar10_refuses_files_that_hold_something_else(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    class Other(_Downloaded):
        def __init__(self, root: str, train: bool, download: bool) -> None:
            super().__init__(root, train, download)
            vars(self).update(changes)

    _install(monkeypatch, Other)
    with pytest.raises(ValueError, match=message):
        problems.cifar10("folder")


def test_cifar10_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match="pip install torchvision"):
        problems.cifar10("folder")


def test_a_resnet_has_the_depth_and_width_that_are_asked_for(
    device: torch.device, dtype: torch.dtype
) -> None:
    model = problems.resnet(14, width=6, classes=7, seed=0, dtype=dtype, device=device.type)
    kernels = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    # One, then 3 stages of 2 blocks with 2 each; beside them the 2 where the width changes.
    assert len([k for k in kernels if k.kernel_size == (3, 3)]) == 13
    assert [k.out_channels for k in kernels if k.kernel_size == (1, 1)] == [12, 24]
    assert {k.out_channels for k in kernels} == {6, 12, 24}
    assert all(p.dtype == dtype and p.device.type == device.type for p in model.parameters())
    assert model(torch.ones(3, 3, 32, 32, dtype=dtype, device=device)).shape == (3, 7)
    # The paper says 0.27 million for 20 layers.
    assert sum(p.numel() for p in problems.resnet(seed=0).parameters()) == 272_474


def test_a_resnet_is_fixed_by_its_seed_and_leaves_the_global_state() -> None:
    def weights(seed: int) -> torch.Tensor:
        return torch.cat(
            [p.detach().reshape(-1) for p in problems.resnet(8, width=2, seed=seed).parameters()]
        )

    first = weights(0)
    torch.manual_seed(9)
    state = torch.get_rng_state()
    assert torch.equal(weights(0), first)
    assert not torch.equal(weights(1), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_loss_of_a_resnet_is_the_mean_of_its_rows() -> None:
    # It would not be if rows were normalized together.
    model = problems.resnet(8, width=4, seed=0, dtype=torch.float64)
    inputs = torch.randn(5, 3, 32, 32, dtype=torch.float64)
    targets = torch.arange(5)
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), (inputs, targets))
    x = objective.flat_parameters()
    rows = torch.stack([part.value(x) for part in objective.components])
    assert float(rows.mean()) == pytest.approx(float(objective.value(x)), rel=1e-12)
    gradient = objective.component_gradient(x.expand(5, -1), torch.arange(5)).mean(dim=0)
    assert torch.allclose(gradient, objective.gradient(x), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"depth": 10}, ValueError, "6n"),
        ({"depth": 2}, ValueError, "depth"),
        ({"width": 5}, ValueError, "even"),
        ({"width": 0}, ValueError, "width"),
        ({"width": 4.0}, TypeError, "width"),
        ({"classes": 0}, ValueError, "classes"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_a_resnet_refuses_wrong_arguments(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        problems.resnet(**{"seed": 0, **arguments})
