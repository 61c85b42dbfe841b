"""samlib.objective: derivatives against finite differences, autograd and dense Hessians."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib import Objective
from samlib.objective.derivatives import kept_graph, reverse_over_forward
from tests.samlib.spectra import bytes_in_tensors, forget_tensors

DIM = 4


def wavy(x: Tensor) -> Tensor:
    """A loss with a dense, indefinite, point-dependent Hessian."""
    return torch.sin(x).prod() + (x[0] * x[1:] ** 2).sum() + torch.exp(0.3 * x[1] * x[2])


def points(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(*shape, DIM, generator=generator, dtype=torch.float64).to(device, dtype)


def tolerance(dtype: torch.dtype) -> dict[str, float]:
    return {"rtol": 0, "atol": 1e-11 if dtype == torch.float64 else 2e-4}


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_value_gradient_and_hessian_agree_with_autograd_at_every_point_of_a_batch(
    shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> None:
    objective = Objective(wavy, DIM)
    x = points(shape, dtype, device)
    value, gradient, hessian = objective.value(x), objective.gradient(x), objective.hessian(x)
    assert value.shape == shape
    assert gradient.shape == (*shape, DIM)
    assert hessian.shape == (*shape, DIM, DIM)
    for result in (value, gradient, hessian):
        assert result.dtype == dtype
        assert result.device.type == device.type
        assert not result.requires_grad
    for i, point in enumerate(x.reshape(-1, DIM)):
        leaf = point.clone().requires_grad_()
        loss = wavy(leaf)
        torch.testing.assert_close(value.reshape(-1)[i], loss.detach(), **tolerance(dtype))
        (expected,) = torch.autograd.grad(loss, leaf)
        torch.testing.assert_close(gradient.reshape(-1, DIM)[i], expected, **tolerance(dtype))
        expected = torch.autograd.functional.hessian(wavy, point)
        torch.testing.assert_close(hessian.reshape(-1, DIM, DIM)[i], expected, **tolerance(dtype))


def test_derivatives_agree_with_central_differences(device: torch.device) -> None:
    objective = Objective(wavy, DIM)
    x = points((6,), torch.float64, device)
    h = 1e-5
    for i in range(DIM):
        e = torch.zeros_like(x[0])
        e[i] = h
        slope = (objective.value(x + e) - objective.value(x - e)) / (2 * h)
        torch.testing.assert_close(objective.gradient(x)[:, i], slope, rtol=0, atol=1e-8)
        turn = (objective.gradient(x + e) - objective.gradient(x - e)) / (2 * h)
        torch.testing.assert_close(
            objective.hessian_vector_product(x, e / h), turn, rtol=0, atol=1e-8
        )


def test_hessian_vector_product_broadcasts_points_against_vectors(device: torch.device) -> None:
    objective = Objective(wavy, DIM)
    x, v = points((3,), torch.float64, device), points((2, 1), torch.float64, device)
    product = objective.hessian_vector_product(x, v)
    assert product.shape == (2, 3, DIM)
    expected = torch.einsum("bij,cj->cbi", objective.hessian(x), v[:, 0])
    torch.testing.assert_close(product, expected)
    one = objective.hessian_vector_product(x[0], v)
    torch.testing.assert_close(one[1, 0], objective.hessian(x[0]) @ v[1, 0])


def test_hessian_operator_is_the_hessian_for_many_vectors(
    dtype: torch.dtype, device: torch.device
) -> None:
    objective, x = Objective(wavy, DIM), points((), dtype, device)
    with torch.no_grad():
        product = objective.hessian_operator(x)
        columns = [product(v) for v in torch.eye(DIM, dtype=dtype, device=device)]
    torch.testing.assert_close(torch.stack(columns), objective.hessian(x), **tolerance(dtype))
    assert not x.requires_grad
    linear = Objective(lambda x: x.sum(), DIM).hessian_operator(x)
    assert linear(torch.ones_like(x)).tolist() == [0] * DIM


def test_a_single_point_needs_no_vmap() -> None:
    # A branch on a value cannot be traced by vmap.
    objective = Objective(lambda x: x.abs().sum() if x[0] > 0 else -x.sum(), 2)
    assert objective.gradient(torch.tensor([1.0, -2.0])).tolist() == [1, -1]
    assert objective.gradient(torch.tensor([-1.0, 2.0])).tolist() == [-1, -1]


def test_an_objective_from_a_function_has_no_components() -> None:
    objective = Objective(wavy, DIM)
    assert objective.components is None
    with pytest.raises(ValueError, match="no components"):
        objective.component_gradient(torch.zeros(1, DIM), torch.tensor([0]))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1.0] * DIM, TypeError, "torch.Tensor"),
        (torch.ones(DIM, dtype=torch.int64), TypeError, r"x\.double\(\)"),
        (torch.ones(DIM + 1), ValueError, r"\[\.\.\., 4\]"),
        (torch.ones(DIM, 1), ValueError, r"\(4, 1\)"),
        (torch.tensor(1.0), ValueError, "shape"),
    ],
)
def test_a_wrong_point_is_named_with_what_is_allowed(
    x: object, error: type[Exception], message: str
) -> None:
    objective = Objective(wavy, DIM)
    for method in (objective.value, objective.gradient, objective.hessian):
        with pytest.raises(error, match=message):
            method(x)  # type: ignore[arg-type]
    with pytest.raises(error):
        objective.hessian_vector_product(torch.ones(DIM), x)  # type: ignore[arg-type]


def test_points_and_vectors_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        Objective(wavy, DIM).hessian_vector_product(torch.ones(2, DIM), torch.ones(3, DIM))


@pytest.mark.parametrize("function", [lambda x: x, lambda x: x.sum(0, keepdim=True), lambda x: 1.0])
def test_a_function_that_does_not_return_a_scalar_is_refused(function: object) -> None:
    objective = Objective(function, 3)  # type: ignore[arg-type]
    for x in (torch.ones(3), torch.ones(2, 3)):
        with pytest.raises(ValueError, match="scalar"):
            objective.value(x)
        with pytest.raises(ValueError, match="scalar"):
            objective.gradient(x)


@pytest.mark.parametrize(("dim", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError)])
def test_a_wrong_dimension_is_refused(dim: int, error: type[Exception]) -> None:
    with pytest.raises(error, match="dim"):
        Objective(wavy, dim)
    with pytest.raises(TypeError, match="callable"):
        Objective(3, 3)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------- from_module


class Tied(nn.Module):
    """A network that uses one matrix twice, has a frozen bias, and a buffer it writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(3, 3)
        self.decode = nn.Linear(3, 3)
        self.decode.weight = self.encode.weight
        self.decode.bias.requires_grad_(False)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.decode(torch.tanh(self.encode(x)))


class Normalized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5), nn.Linear(4, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))


def problem(
    factory: object, device: torch.device
) -> tuple[nn.Module, samlib.ModuleObjective, Tensor, Tensor]:
    torch.manual_seed(0)
    model = factory().double().to(device)  # type: ignore[operator]
    inputs = torch.randn(6, 3, dtype=torch.float64).to(device)
    targets = torch.randn(6, 3, dtype=torch.float64).to(device)
    if isinstance(model, Normalized):
        model(3 * inputs + 1)  # running statistics that are not the initial ones
    return model, Objective.from_module(model, nn.MSELoss(), (inputs, targets)), inputs, targets


FACTORIES = [mlp, Tied, Normalized]


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_network_has_the_derivatives_of_its_own_autograd(
    factory: object, device: torch.device
) -> None:
    model, objective, inputs, targets = problem(factory, device)
    x = objective.flat_parameters()
    twin = copy.deepcopy(model).eval()
    loss = nn.functional.mse_loss(twin(inputs), targets)
    trainable = [p for p in twin.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, trainable, create_graph=True)
    gradient = torch.cat([g.reshape(-1) for g in gradients])
    rows = [
        torch.cat(
            [
                torch.zeros_like(p).reshape(-1) if h is None else h.reshape(-1)
                for p, h in zip(
                    trainable,
                    torch.autograd.grad(g, trainable, retain_graph=True, allow_unused=True),
                    strict=True,
                )
            ]
        )
        for g in gradient
    ]
    assert objective.dim == sum(p.numel() for p in trainable)
    torch.testing.assert_close(objective.value(x), loss.detach())
    torch.testing.assert_close(objective.gradient(x), gradient.detach())
    torch.testing.assert_close(objective.hessian(x), torch.stack(rows))
    both = torch.stack([x, 2 * x])
    torch.testing.assert_close(objective.gradient(both)[0], gradient.detach())
    torch.testing.assert_close(objective.gradient(both)[1], objective.gradient(2 * x))


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("training", [True, False])
def test_evaluating_leaves_the_module_untouched(
    factory: object, training: bool, device: torch.device
) -> None:
    model, objective, _, _ = problem(factory, device)
    model.train(training)
    for p in model.parameters():
        p.grad = torch.full_like(p, 7.0)
    state = copy.deepcopy(model.state_dict())
    x = objective.flat_parameters() + 1
    batch = torch.stack([x, -x])
    for points_ in (x, batch):
        objective.value(points_)
        objective.gradient(points_)
        objective.hessian_vector_product(points_, points_)
    objective.component_gradient(batch, torch.tensor([0, 3], device=device))
    objective.components[1].gradient(x)
    assert all(module.training == training for module in model.modules())
    assert all(bool((p.grad == 7).all()) for p in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_later_running_statistics_are_seen(device: torch.device) -> None:
    model, objective, inputs, targets = problem(Normalized, device)
    x = objective.flat_parameters()
    before = objective.value(x)
    model.train()
    model(5 * inputs - 2)
    model.eval()
    after = nn.functional.mse_loss(model(inputs), targets).detach()
    assert before != after
    torch.testing.assert_close(objective.value(x), after)


def test_frozen_parameters_are_not_part_of_x_but_their_changes_are_seen(
    device: torch.device,
) -> None:
    model, objective, inputs, targets = problem(Tied, device)
    assert objective.dim == 9 + 3
    x = objective.flat_parameters()
    before = objective.value(x)
    with torch.no_grad():
        model.decode.bias += 1  # type: ignore[union-attr, operator]
        after = nn.functional.mse_loss(copy.deepcopy(model)(inputs), targets)
    assert before != after
    torch.testing.assert_close(objective.value(x), after)


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_components_average_to_the_loss(factory: object, device: torch.device) -> None:
    _, objective, _, _ = problem(factory, device)
    x = objective.flat_parameters()
    assert len(objective.components) == 6
    mean = torch.stack([component.value(x) for component in objective.components]).mean()
    torch.testing.assert_close(mean, objective.value(x))
    gradients = torch.stack([component.gradient(x) for component in objective.components])
    torch.testing.assert_close(gradients.mean(dim=0), objective.gradient(x))
    assert not torch.allclose(gradients[0], gradients[1])
    torch.testing.assert_close(objective.components[-1].gradient(x), gradients[5])
    assert [float(c.value(x)) for c in objective.components[1:3]] == [
        float(objective.row(k).value(x)) for k in (1, 2)
    ]
    with pytest.raises(IndexError):
        objective.components[6]


@pytest.mark.parametrize("factory", FACTORIES)
def test_component_gradient_takes_one_index_per_point(
    factory: object, device: torch.device
) -> None:
    _, objective, _, _ = problem(factory, device)
    x = objective.flat_parameters() + torch.arange(4, device=device).double()[:, None] / 10
    k = torch.tensor([5, 0, 0, 2], device=device)
    expected = torch.stack([objective.components[int(j)].gradient(p) for p, j in zip(x, k)])  # noqa: B905
    torch.testing.assert_close(objective.component_gradient(x, k), expected)


def test_class_labels_are_targets_too(device: torch.device) -> None:
    torch.manual_seed(0)
    model = mlp().double().to(device)
    inputs = torch.randn(6, 3, dtype=torch.float64).to(device)
    labels = torch.tensor([0, 1, 2, 2, 1, 0], device=device)
    objective = Objective.from_module(model, nn.CrossEntropyLoss(), (inputs, labels))
    x = objective.flat_parameters()
    loss = nn.functional.cross_entropy(model(inputs), labels).detach()
    torch.testing.assert_close(objective.value(x), loss)
    gradients = objective.component_gradient(x.expand(6, -1), torch.arange(6, device=device))
    torch.testing.assert_close(gradients.mean(dim=0), objective.gradient(x))


@pytest.mark.parametrize("factory", FACTORIES)
def test_flat_parameters_and_load_are_inverse(factory: object, device: torch.device) -> None:
    model, objective, inputs, targets = problem(factory, device)
    x = objective.flat_parameters()
    copied = x.clone()
    objective.load_flat_parameters(x + 1)
    assert torch.equal(x, copied), "flat_parameters is a copy"
    assert torch.equal(objective.flat_parameters(), x + 1)
    model.eval()
    loss = functional_call(model, {}, (inputs,))
    torch.testing.assert_close(
        objective.value(x + 1), nn.functional.mse_loss(loss, targets).detach()
    )
    with pytest.raises(ValueError, match="shape"):
        objective.load_flat_parameters(x.expand(2, -1))
    with pytest.raises(ValueError, match="shape"):
        objective.load_flat_parameters(x[:-1])


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


def test_a_module_without_trainable_parameters_is_refused() -> None:
    data = (torch.ones(3, 3), torch.ones(3, 3))
    with pytest.raises(ValueError, match="requires_grad"):
        Objective.from_module(mlp().requires_grad_(False), nn.MSELoss(), data)


def test_a_loss_per_row_is_refused() -> None:
    data = (torch.ones(3, 3), torch.ones(3, 3))
    objective = Objective.from_module(mlp(), nn.MSELoss(reduction="none"), data)
    with pytest.raises(ValueError, match="scalar"):
        objective.gradient(objective.flat_parameters())


# --------------------------------------------------------------------------- data in batches


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, 2, 2), nn.BatchNorm1d(2), nn.Tanh(), nn.Flatten(), nn.Linear(4, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.unsqueeze(1))


class Attentive(nn.Module):
    """A transformer layer: fused attention has no second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(1, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, dim_feedforward=3, batch_first=True)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layer(self.first(x.unsqueeze(-1)))).squeeze(-1)


NETWORKS = [mlp, Tied, Normalized, Convolutional, Attentive]


def data_of(kind: str, inputs: Tensor, targets: Tensor) -> Any:
    if kind == "pair":
        return inputs, targets
    if kind == "list":  # 3, 1 and 3 of 7 rows
        return [(inputs[i:j], targets[i:j]) for i, j in ((0, 3), (3, 4), (4, 7))]
    return DataLoader(TensorDataset(inputs, targets), batch_size=5, shuffle=kind == "shuffled")


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
def test_products_differentiated_forwards_are_those_over_akept_graph(
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
    loss = objective._on(inputs, targets)
    kept, forwards = kept_graph(loss, x)(v), reverse_over_forward(loss, point := x.clone())
    point.zero_()  # an operator belongs to the point it was made at
    rounding = 1e-10 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(forwards(v), kept, rtol=rounding, atol=rounding * float(kept.norm()))
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


@pytest.mark.parametrize("kind", ["pair", "loader"])
def test_the_module_is_left_as_it_was(kind: str) -> None:
    torch.manual_seed(0)
    model = Normalized()
    model.layers[1].eval()  # not all submodules in one mode
    inputs, targets = torch.randn(7, 3), torch.randn(7, 3)
    model(inputs).sum().backward()
    modes = [m.training for m in model.modules()]
    buffers = {n: b.clone() for n, b in model.named_buffers()}
    weights = {n: (p.clone(), p.grad.clone()) for n, p in model.named_parameters()}
    objective = Objective.from_module(model, nn.MSELoss(), data_of(kind, inputs, targets))
    x, before = objective.flat_parameters(), torch.get_rng_state()
    objective.hessian(x)
    objective.hessian_operator(x)(x)
    samlib.top_eigenpairs(objective, x)
    assert objective.value(x) == objective.value(x), "dropout is off"
    assert [m.training for m in model.modules()] == modes
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, buffers[name])
    for name, p in model.named_parameters():
        assert torch.equal(p, weights[name][0])
        assert torch.equal(p.grad, weights[name][1])
        assert p.requires_grad
    if kind == "pair":  # a DataLoader draws a seed each time it is iterated
        assert torch.equal(torch.get_rng_state(), before)


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
        ((torch.ones(2, 3), torch.ones(2, 1), torch.ones(2)), TypeError, "of length 3"),
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
    each = Objective.from_module(nn.Linear(3, 1), nn.MSELoss(reduction="none"), rows.tensors)
    with pytest.raises(ValueError, match="loss_fn must return a scalar"):
        each.value(each.flat_parameters())


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


def test_component_values_are_those_of_the_rows() -> None:
    inputs, targets = torch.randn(5, 3), torch.randn(5, 1)
    objective = Objective.from_module(nn.Linear(3, 1), nn.MSELoss(), (inputs, targets))
    x, k = torch.randn(4, objective.dim), torch.tensor([4, 0, 2, 2])
    values = objective.component_value(x, k)
    for i in range(4):
        expected = (inputs[k[i]] @ x[i, :3] + x[i, 3] - targets[k[i], 0]) ** 2
        torch.testing.assert_close(values[i], expected)
    landscape = samlib.landscapes.TwoValleys()
    x, k = torch.randn(4, 3), torch.tensor([0, 1, 1, 0])
    assert landscape.components is not None
    expected = torch.stack([landscape.components[j].value(p) for j, p in zip(k, x, strict=True)])
    torch.testing.assert_close(landscape.component_value(x, k), expected)


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
    assert len(calls) == 2
    whole = Objective.from_module(objective._model, nn.MSELoss(), (inputs, targets))
    torch.testing.assert_close(values, whole.value(x))
