"""Losses over data: the mean over all rows, whatever the batches are."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, TensorDataset

from samlib import Objective
from samlib.objective.derivatives import kept_graph, reverse_over_forward
from samlib.objective.network import Network
from tests.samlib.small_networks import (
    Attentive,
    Convolutional,
    Normalized,
    Tied,
    data_of,
    mlp,
)
from tests.samlib.spectra import bytes_in_tensors, forget_tensors

NETWORKS = [mlp, Tied, Normalized, Convolutional, Attentive]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (torch.ones(3, 3), TypeError),
        ((torch.ones(3, 3),), TypeError),
        ((torch.ones(3, 3), [1.0, 2.0, 3.0]), TypeError),
        ((torch.ones(3, 3), torch.ones(2, 3)), ValueError),
        ((torch.ones(0, 3), torch.ones(0, 3)), ValueError),
    ],
)
def test_wrong_data_are_refused(data: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        Objective.from_module(mlp(), nn.MSELoss(), data)  # type: ignore[arg-type]


def test_a_loss_per_row_is_refused() -> None:
    data = (torch.ones(3, 3), torch.ones(3, 3))
    objective = Objective.from_module(mlp(), lambda p, y: (p - y) ** 2, data)
    with pytest.raises(ValueError, match=r"loss_fn must return a scalar .* got \(3, 3\)"):
        objective.gradient(objective.flat_parameters())


@pytest.mark.parametrize("kind", ["pair", "list", "loader", "shuffled"])
@pytest.mark.parametrize("factory", NETWORKS)
def test_derivatives_are_those_of_the_mean_over_all_rows(
    factory: Any, kind: str, device: torch.device, dtype: torch.dtype
) -> None:
    # The truth: one functional loss over all rows in eval mode, and its dense Hessian.
    torch.manual_seed(0)
    model = factory().to(device, dtype)
    inputs = torch.randn(7, 3, dtype=dtype, device=device)
    targets = torch.randn(7, 3, dtype=dtype, device=device)
    model(inputs)
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    shapes = [p.shape for p in model.parameters() if p.requires_grad]
    reference = copy.deepcopy(model).eval()

    def loss(x: Tensor) -> Tensor:
        parts = torch.split(x, [shape.numel() for shape in shapes])
        values = {n: q.reshape(s) for n, q, s in zip(names, parts, shapes, strict=True)}
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            return ((functional_call(reference, values, (inputs,)) - targets) ** 2).mean()

    objective = Objective.from_module(model, nn.MSELoss(), data_of(kind, inputs, targets))
    x = objective.flat_parameters()
    dense = torch.autograd.functional.hessian(loss, x)
    v = torch.randn(2, objective.dim, dtype=dtype, device=device)
    # Entries are sums of terms as large as the largest, and are rounded like it.
    rounding = 1e-10 if dtype == torch.float64 else 1e-4
    close = {"rtol": rounding, "atol": rounding * max(1.0, float(dense.abs().max()))}
    torch.testing.assert_close(objective.value(x), loss(x), **close)
    slope = torch.autograd.functional.jacobian(loss, x)
    torch.testing.assert_close(objective.gradient(x), slope, **close)
    torch.testing.assert_close(objective.hessian_vector_product(x, v), v @ dense, **close)
    product = objective.hessian_operator(x)
    torch.testing.assert_close(torch.stack([product(u) for u in v]), v @ dense, **close)
    torch.testing.assert_close(objective.hessian(x), dense, **close)
    points = x + 0.1 * v
    torch.testing.assert_close(
        objective.value(points), torch.stack([loss(point) for point in points]), **close
    )


class Warped(nn.Module):
    """A network that shifts its image, for which torch has no forward derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor([0.1, -0.2]))
        self.mix = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        ticks = torch.linspace(-0.7, 0.7, 3, dtype=x.dtype, device=x.device)
        grid = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), dim=-1) + self.shift
        image = torch.tanh(self.mix((x[:, None, :] * x[:, :, None]).unsqueeze(1)))
        return nn.functional.grid_sample(image, grid.expand(len(x), 3, 3, 2)).sum(dim=(1, 2))


def differentiates_grid_sample_twice(device: torch.device) -> bool:
    """Say whether torch does: older ones do not, nor does any on a GPU."""
    image, grid = torch.ones(1, 1, 2, 2, device=device), torch.zeros(1, 1, 1, 2, device=device)
    try:
        torch.autograd.functional.hessian(
            lambda g: nn.functional.grid_sample(image, g, align_corners=False).sum(), grid
        )
    except (RuntimeError, NotImplementedError):
        return False
    return True


@pytest.mark.filterwarnings("ignore:Default grid_sample")
@pytest.mark.parametrize("factory", [*NETWORKS, Warped])
def test_products_differentiated_forwards_are_those_over_a_kept_graph(
    factory: Any, device: torch.device, dtype: torch.dtype
) -> None:
    if factory is Warped and not differentiates_grid_sample_twice(device):
        pytest.skip("this torch has no second derivative of grid_sample there")
    torch.manual_seed(0)
    model = factory().to(device, dtype)
    inputs, targets = torch.randn(2, 7, 3, dtype=dtype, device=device)
    objective = Objective.from_module(model, nn.MSELoss(), (inputs, targets))
    x = objective.flat_parameters()
    v = torch.randn(objective.dim, dtype=dtype, device=device)
    network = Network(model)

    def loss(x: Tensor) -> Tensor:
        parts = network.unflatten(x)
        return network.evaluate(parts, lambda model: F.mse_loss(model(inputs), targets))

    kept, value = kept_graph(loss, x)(v)
    forwards = reverse_over_forward(loss, point := x.clone())
    point.zero_()  # an operator belongs to the point it was made at
    rounding = 1e-10 if dtype == torch.float64 else 1e-4
    close = {"rtol": rounding, "atol": rounding * float(kept.norm())}
    torch.testing.assert_close(forwards(v), (kept, value), **close)
    assert float(kept.norm()) > 0


def test_a_short_last_batch_counts_by_its_rows() -> None:
    # The mean of the batches' means would be 11/2 · …: far from the mean over rows.
    inputs = torch.tensor([[1.0], [1.0], [1.0], [10.0]])
    loader = DataLoader(TensorDataset(inputs, torch.zeros(4, 1)), batch_size=3)
    model = nn.Linear(1, 1, bias=False)
    objective = Objective.from_module(model, nn.MSELoss(), loader)
    one = torch.ones(1)
    assert float(objective.value(one)) == pytest.approx(103 / 4)
    assert float(objective.hessian(one)) == pytest.approx(2 * 103 / 4)


def test_memory_grows_neither_with_the_batches_nor_with_the_products() -> None:
    class Watched:
        def __init__(self, batches: int) -> None:
            self.batches, self.most = batches, 0

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            for i in range(self.batches):
                if i == self.batches - 1:
                    self.most = max(self.most, bytes_in_tensors())
                yield torch.ones(50, 20), torch.ones(50, 1)

    most = []
    for batches in (3, 30):
        forget_tensors()
        data = Watched(batches)
        model = nn.Sequential(nn.Linear(20, 40), nn.Tanh(), nn.Linear(40, 1))
        objective = Objective.from_module(model, nn.MSELoss(), data)
        x = objective.flat_parameters()
        product = objective.hessian_operator(x)
        for _ in range(3 if batches == 3 else 9):
            product(x)
        objective.gradient(x)
        most.append(data.most)
    assert most[1] <= 1.1 * most[0]


def test_memory_does_not_grow_with_products_over_a_kept_graph() -> None:
    forget_tensors()
    inputs = torch.randn(50, 20)
    model = nn.Sequential(nn.Linear(20, 40), nn.Tanh(), nn.Linear(40, 1))
    objective = Objective.from_module(model, nn.MSELoss(), (inputs, torch.ones(50, 1)))
    x = objective.flat_parameters()
    product = objective.hessian_operator(x)
    product(x)
    gc.collect()
    before = bytes_in_tensors()
    for _ in range(20):
        product(x)
    gc.collect()
    assert bytes_in_tensors() <= before


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (iter([(torch.ones(2, 3), torch.ones(2, 1))]), TypeError, "only once"),
        (((a, a) for a in [torch.ones(2, 3)]), TypeError, "only once"),
        (3, TypeError, "data must be a pair"),
        ("rows", TypeError, "data must be a pair"),
        (torch.ones(2, 3), TypeError, "data must be a pair"),
        ((torch.ones(2, 3), [1, 2]), TypeError, "targets must be a tensor"),
        ((torch.ones(2, 3), torch.tensor(1.0)), TypeError, "a scalar"),
        ((torch.ones(2, 3), torch.ones(3, 1)), ValueError, "got 2 and 3"),
        ((torch.ones(0, 3), torch.ones(0, 1)), ValueError, "at least one"),
        ((torch.ones(2, 3), torch.ones(1, 1), torch.ones(2)), ValueError, "got 1 and 2"),
    ],
)
def test_what_is_no_data_is_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Objective.from_module(nn.Linear(3, 1), nn.MSELoss(), data)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([], ValueError, "no batch"),
        ([3], TypeError, "pairs"),
        ([(torch.ones(2, 3),)], TypeError, "of length 1"),
        ([(torch.ones(2, 3), torch.ones(1, 1))], ValueError, "same number of rows"),
        ([(torch.ones(2, 3).double(), torch.ones(2, 1))], ValueError, "float64"),
    ],
)
def test_a_wrong_batch_is_refused_when_it_comes(
    data: Any, error: type[Exception], message: str
) -> None:
    objective = Objective.from_module(nn.Linear(3, 1), nn.MSELoss(), data)
    with pytest.raises(error, match=message):
        objective.value(objective.flat_parameters())


def test_a_loss_that_differs_from_pass_to_pass_or_sums_is_refused() -> None:
    rows = TensorDataset(torch.ones(5, 3), torch.ones(5, 1))
    for loader in (
        DataLoader(rows, batch_size=2, drop_last=True),
        DataLoader(rows, batch_size=2, shuffle=True),
    ):
        Objective.from_module(nn.Linear(3, 1), nn.MSELoss(), loader)
    with pytest.raises(ValueError, match="shuffles and drops"):
        Objective.from_module(
            nn.Linear(3, 1),
            nn.MSELoss(),
            DataLoader(rows, batch_size=2, shuffle=True, drop_last=True),
        )
    with pytest.raises(ValueError, match="average over the rows"):
        Objective.from_module(nn.Linear(3, 1), nn.MSELoss(reduction="sum"), rows.tensors)
    with pytest.raises(ValueError, match="loss_fn must return a scalar"):
        Objective.from_module(nn.Linear(3, 1), nn.MSELoss(reduction="none"), rows.tensors)


def test_rows_of_batches_have_no_numbers() -> None:
    inputs, targets = torch.randn(5, 3), torch.randn(5, 1)
    model = nn.Linear(3, 1)
    objective = Objective.from_module(model, nn.MSELoss(), data_of("loader", inputs, targets))
    x = objective.flat_parameters()
    assert objective.components is None
    for of_component in (objective.component_value, objective.component_gradient):
        with pytest.raises(ValueError, match="one pair of tensors"):
            of_component(x[None], torch.tensor([0]))
    assert repr(objective) == "ModuleObjective(dim=4, model=Linear, data=DataLoader)"


def test_a_loader_is_not_started_until_it_is_needed() -> None:
    # iter() of a shuffling DataLoader draws from the global random state.
    rows = TensorDataset(torch.randn(6, 3), torch.randn(6, 1))
    loader = DataLoader(rows, batch_size=4, shuffle=True)
    model, before = nn.Linear(3, 1), torch.get_rng_state()
    Objective.from_module(model, nn.MSELoss(), loader)
    assert torch.equal(torch.get_rng_state(), before)


def test_points_go_through_a_batch_together(monkeypatch: pytest.MonkeyPatch) -> None:
    # As over one pair of tensors, a small network sees each batch once, whatever the points.
    calls = []

    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            calls.append(x.shape)
            return super().forward(x)

    inputs, targets = torch.randn(7, 3), torch.randn(7, 1)
    batches = [(inputs[:5], targets[:5]), (inputs[5:], targets[5:])]
    objective = Objective.from_module(Counting(3, 1), nn.MSELoss(), batches)
    x = torch.randn(40, objective.dim)
    values = objective.value(x)
    calls.clear()  # the first evaluation had more to see
    assert torch.equal(objective.value(x), values)
    assert len(calls) == 2
    whole = Objective.from_module(Counting(3, 1), nn.MSELoss(), (inputs, targets))
    torch.testing.assert_close(values, whole.value(x))
