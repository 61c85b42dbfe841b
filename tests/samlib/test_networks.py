"""The tanh network as a landscape, and the interpolating problem made of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from samlib import Objective, problems, rules, simulate
from samlib.landscapes import Landscape, TanhNetwork
from tests.samlib.simulation_cases import without_numba

NETWORK, START = problems.interpolating_network()
SMALL = problems.interpolating_network(inputs=2, hidden=3, points=4, seed=5).objective


def written_independently(network: TanhNetwork, rows: slice = slice(None)) -> Objective:
    inputs, targets, hidden = network.inputs[rows], network.targets[rows], network.hidden

    def loss(x: Tensor) -> Tensor:
        cut = hidden * inputs.shape[1]
        w, b, a = x[:cut].reshape(hidden, -1), x[cut : cut + hidden], x[cut + hidden :]
        outputs = torch.tanh(inputs.to(x) @ w.T + b) @ a / math.sqrt(hidden)
        return ((outputs - targets.to(x)) ** 2).mean() / 2

    return Objective(loss, network.dim)


def points(dim: int, device: torch.device, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(4, 6, dim, generator=generator, dtype=torch.float64).to(device, dtype)


@pytest.mark.parametrize("network", [NETWORK, SMALL], ids=repr)
def test_derivatives_are_those_of_the_loss_written_independently(
    network: TanhNetwork, device: torch.device, dtype: torch.dtype
) -> None:
    reference = written_independently(network)
    x = points(network.dim, device, dtype)
    v = x.flip(0)
    close = {"rtol": 1e-12, "atol": 1e-13} if dtype == torch.float64 else {"rtol": 1e-4}
    close = {"atol": 1e-5, **close}
    for name in ("value", "gradient", "hessian"):
        ours, expected = getattr(network, name)(x), getattr(reference, name)(x)
        assert ours.dtype == dtype
        assert ours.device.type == device.type
        torch.testing.assert_close(ours, expected, **close)
        torch.testing.assert_close(getattr(network, name)(x[0, 0]), ours[0, 0], **close)
    product = network.hessian_vector_product(x, v)
    torch.testing.assert_close(product, reference.hessian_vector_product(x, v), **close)
    one_direction = network.hessian_vector_product(x, v[0, 0])
    torch.testing.assert_close(one_direction[0, 0], network.hessian(x[0, 0]) @ v[0, 0], **close)


class Plain(Landscape):
    """A network as its formulas alone say."""

    formulas = TanhNetwork.formulas

    def __init__(self, network: Landscape) -> None:
        super().__init__(network.dim, network.terms, parameters=network.parameters)
        self.weights = network.weights


@pytest.mark.parametrize("network", [NETWORK, SMALL], ids=repr)
def test_the_plain_formulas_agree_with_the_code_for_whole_layers(
    network: TanhNetwork, device: torch.device
) -> None:
    x = points(network.dim, device)
    close = {"rtol": 1e-13, "atol": 1e-14}
    for landscape in (network, *network.components[:2]):
        plain = Plain(landscape)
        torch.testing.assert_close(landscape.value(x), plain.value(x), **close)
        torch.testing.assert_close(landscape.gradient(x), plain.gradient(x), **close)
        product = plain.hessian_vector_product(x, x.flip(0))
        torch.testing.assert_close(landscape.hessian_vector_product(x, x.flip(0)), product, **close)


def test_the_formulas_run_on_plain_numbers() -> None:
    x, v = START.tolist(), START.flip(0).tolist()
    w, p = NETWORK.weights, NETWORK.parameters
    gradient, product = [0.0] * NETWORK.dim, [0.0] * NETWORK.dim
    NETWORK.formulas.gradient(x, w, p, gradient)
    NETWORK.formulas.hessian_vector_product(x, v, w, p, product)
    assert NETWORK.formulas.value(x, w, p) == pytest.approx(float(NETWORK.value(START)), rel=1e-14)
    assert gradient == pytest.approx(NETWORK.gradient(START).tolist(), abs=1e-15)
    expected = NETWORK.hessian_vector_product(START, START.flip(0))
    assert product == pytest.approx(expected.tolist(), abs=1e-14)


def test_a_component_is_the_loss_of_one_data_point(device: torch.device) -> None:
    x = points(NETWORK.dim, device)[0]
    assert len(NETWORK.components) == 5
    k = torch.tensor([0, 1, 2, 3, 4, 2], device=device)
    value, gradient = NETWORK.component_value(x, k), NETWORK.component_gradient(x, k)
    for i, j in enumerate(k.tolist()):
        reference = written_independently(NETWORK, slice(j, j + 1))
        component = NETWORK.components[j]
        assert component.components is None
        for name, together in (("value", value), ("gradient", gradient)):
            expected = getattr(reference, name)(x[i])
            torch.testing.assert_close(getattr(component, name)(x[i]), expected)
            torch.testing.assert_close(together[i], expected)
        torch.testing.assert_close(component.hessian(x[i]), reference.hessian(x[i]))


@pytest.mark.parametrize(
    "rule", [rules.SAM, rules.UnnormalizedSAM, rules.StochasticSAM, rules.AscentLossDescent]
)
def test_compiled_and_torch_runs_take_the_same_path(
    rule: type[rules.Rule], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")

    def run() -> Tensor:
        some = rule(torch.tensor([0.1, 0.05]).double(), 0.05)
        return simulate(NETWORK, some, START, steps=200, every=50, record=("x",), seed=1).x

    compiled = run()
    without_numba(monkeypatch)
    torch.testing.assert_close(run(), compiled, rtol=0, atol=1e-12)
    assert float((compiled[:, -1] - START).norm(dim=-1).min()) > 0.1, "it moved"


def test_the_network_is_finite_far_out() -> None:
    x = 1e4 * points(NETWORK.dim, torch.device("cpu"))
    for landscape in (NETWORK.value, NETWORK.gradient):
        assert bool(landscape(x).isfinite().all())
    torch.testing.assert_close(Plain(NETWORK).gradient(x), NETWORK.gradient(x))


def test_a_network_does_not_change_with_the_tensors_it_was_made_from() -> None:
    inputs, targets = torch.ones(2, 3).double(), torch.ones(2).double()
    network = TanhNetwork(inputs, targets, hidden=4)
    x = torch.linspace(-1, 1, network.dim).double()
    before = network.value(x)
    targets += 7
    inputs += 7
    assert network.value(x) == before
    assert Landscape.value(network, x) == pytest.approx(float(before))


@pytest.mark.parametrize(
    ("inputs", "targets", "hidden", "error", "message"),
    [
        (torch.ones(3), torch.ones(3), 2, ValueError, "inputs"),
        (torch.ones(3, 2), torch.ones(2), 2, ValueError, "targets"),
        (torch.ones(3, 2), torch.ones(3, 1), 2, ValueError, "targets"),
        (torch.ones(0, 2), torch.ones(0), 2, ValueError, "at least one"),
        (torch.ones(3, 2), torch.full((3,), math.nan), 2, ValueError, "finite"),
        (torch.ones(3, 2), torch.ones(3), 0, ValueError, "hidden"),
        (torch.ones(3, 2), torch.ones(3), 1.5, TypeError, "hidden"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    inputs: Tensor, targets: Tensor, hidden: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        TanhNetwork(inputs, targets, hidden=hidden)


def test_its_output_is_that_of_torchs_own_layers(dtype: torch.dtype) -> None:
    network, x = problems.interpolating_network(dtype=dtype)
    rows = torch.linspace(-2, 2, 12, dtype=dtype).reshape(4, 3)
    first, second = torch.nn.Linear(3, 10, dtype=dtype), torch.nn.Linear(10, 1, False, dtype=dtype)
    torch.nn.utils.vector_to_parameters(x, [*first.parameters(), *second.parameters()])
    expected = second(torch.tanh(first(rows)))[:, 0].detach() / 10**0.5
    torch.testing.assert_close(network.output(x, rows), expected)
    torch.testing.assert_close(network.output(torch.stack([x, 2 * x]), rows)[0], expected)
    with pytest.raises(ValueError, match=r"inputs must have shape \[rows, 3\], got \(4,\)"):
        network.output(x, rows[:, 0])


def test_the_interpolating_network_is_the_one_of_the_recipe(dtype: torch.dtype) -> None:
    state = torch.get_rng_state()
    network, start = problems.interpolating_network(dtype=dtype)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(0)
    assert torch.equal(network.inputs, torch.randn(5, 3, dtype=torch.float64))
    assert torch.equal(network.targets, torch.randn(5, dtype=torch.float64))
    assert torch.equal(start, torch.randn(50, dtype=torch.float64).to(dtype))
    assert (network.dim, network.terms, network.hidden) == (50, 5, 10)
    assert repr(network) == "TanhNetwork(inputs=3, hidden=10, points=5)"


def test_an_interpolating_network_has_the_sizes_and_the_seed_that_are_asked_for(
    device: torch.device,
) -> None:
    network, start = problems.interpolating_network(
        inputs=2, hidden=3, points=4, seed=1, device=device.type
    )
    assert network.inputs.shape == (4, 2)
    assert start.shape == (3 * 4,) == (network.dim,)
    assert start.device.type == device.type
    again = problems.interpolating_network(inputs=2, hidden=3, points=4, seed=1, device=device.type)
    other = problems.interpolating_network(inputs=2, hidden=3, points=4, seed=2, device=device.type)
    assert torch.equal(again.start, start)
    assert not torch.equal(other.start, start)
    assert not torch.equal(other.objective.inputs, network.inputs)


@pytest.mark.parametrize(
    ("sizes", "seed", "error", "message"),
    [
        ((0, 10, 5), 0, ValueError, "inputs"),
        ((3, 0, 5), 0, ValueError, "hidden"),
        ((3, 10, 0), 0, ValueError, "points"),
        ((3, 10, 50), 0, ValueError, "points must be below dim = 50"),
        ((3, 2.5, 5), 0, TypeError, "hidden"),
        ((3, 10, 5), -1, ValueError, "seed"),
    ],
)
def test_an_impossible_interpolating_network_is_refused(
    sizes: tuple[int, int, int], seed: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        problems.interpolating_network(
            **dict(zip(("inputs", "hidden", "points"), sizes, strict=True)), seed=seed
        )
