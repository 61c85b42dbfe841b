"""Lightning's manual optimization: every optimizer, both ways to step, and steps are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning_runs import fit, half_precision, net_of
from page import recipe
from torch import Tensor, nn
from truth import CLOSE, Batch, batches, by_hand, closure_of, mse, network, weights

from samlib.optim import GSAM, MSAM, SAM, DiametricalRisk, EigenSAM, LookSAM, SharpnessAware

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice
SECTION = "Lightning, manual optimization"
AFTER = recipe(SECTION).run({})
FAMILY: dict[str, tuple[type[SharpnessAware], dict[str, Any]]] = {
    "SAM": (SAM, {}),
    "GSAM": (GSAM, {"alpha": 0.4}),
    "LookSAM": (LookSAM, {"alpha": 0.7, "every": 2}),
    "EigenSAM": (EigenSAM, {"alpha": 0.5, "every": 3}),
    "MSAM": (MSAM, {"m": 2}),
    "DiametricalRisk": (DiametricalRisk, {"directions": 3}),
}


def make(name: str, parameters: Any) -> SharpnessAware:
    kind, settings = FAMILY[name]
    parameters = list(parameters)
    base = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    return kind(parameters, base, rho=0.1, **settings)


def configured(name: str) -> Callable[[Any], SharpnessAware]:
    return lambda self: make(name, self.parameters())


def directly(name: str, model: nn.Module, data: list[Batch]) -> None:
    """The same optimizer in a loop without Lightning."""
    optimizer = make(name, model.parameters())
    for batch in data:
        if optimizer.takes_batch:
            optimizer.step(lambda *part: closure_of(model, part)(), *batch)
        elif optimizer.takes_loss:
            optimizer.step(lambda batch=batch: mse(model, batch))
        else:
            optimizer.step(closure_of(model, batch))


def manual_step(self: Any, batch: Batch, batch_idx: int) -> None:
    optimizer = self.optimizers()

    def loss(*part: Tensor) -> Tensor:
        return mse(self.model, part or batch)

    def backward(*part: Tensor) -> Tensor:
        value = loss(*part)
        self.manual_backward(value)
        return value

    closure = loss if optimizer.takes_loss else backward
    self.manual_step(closure, *(batch if optimizer.takes_batch else ()))


def in_two_steps(self: Any, batch: Batch, batch_idx: int) -> None:
    optimizer, scaler = self.optimizers(), self._scaler()

    def backward(**create: Any) -> None:
        self.manual_backward(mse(self.model, batch), **create)

    backward(create_graph=getattr(optimizer, "refreshes", False))
    for _ in range(optimizer.ascents):
        optimizer.first_step(scaler)
        backward()
    optimizer.second_step()
    optimizer.zero_grad()


def test_with_radius_zero_the_module_after_is_the_module_before() -> None:
    before, after = network(), network()
    fit(net_of(recipe(SECTION, "Before").run({}), before))
    fit(net_of(recipe(SECTION).run({}, rho=0.0), after))
    torch.testing.assert_close(weights(after), weights(before), **CLOSE)


def test_the_recipe_is_sam_and_lightning_counts_its_steps() -> None:
    model = network()
    run = fit(net_of(AFTER, model))
    torch.testing.assert_close(weights(model), weights(by_hand(network(), batches())), **CLOSE)
    assert run.global_step == 8


@pytest.mark.parametrize(
    ("training_step", "name"),
    [(manual_step, name) for name in FAMILY]
    + [(in_two_steps, name) for name, (kind, _) in FAMILY.items() if kind.in_two_steps],
    ids=lambda each: each if isinstance(each, str) else each.__name__,
)
def test_every_optimizer_trains_as_without_lightning(
    training_step: Callable[..., None], name: str
) -> None:
    model, direct = network(), network()
    others = {"training_step": training_step, "configure_optimizers": configured(name)}
    run = fit(net_of(AFTER, model, **others))
    directly(name, direct, batches())
    torch.testing.assert_close(weights(model), weights(direct), **CLOSE)
    assert run.global_step == 8


@pytest.mark.parametrize("training_step", [manual_step, in_two_steps])
@pytest.mark.parametrize("spoiled", [0, 1, 2])
def test_in_16_bits(training_step: Callable[..., None], spoiled: int) -> None:
    data = batches(dtype=torch.float32)
    model, direct = network(dtype=torch.float32), network(dtype=torch.float32)
    plugin = half_precision()
    of = {"training_step": training_step, "configure_optimizers": configured("SAM")}
    net, calls = net_of(AFTER, model, **of), []

    def spoil(*given: Any) -> Any:  # the output of that call
        calls.append(1)
        return given[-1] * (torch.inf if len(calls) == spoiled else 1.0)

    model.register_forward_hook(spoil)
    run = fit(net, data, plugins=[plugin])
    directly("SAM", direct, data[1:] if spoiled else data)
    # Forward passes in float16 round to 5e-4.
    torch.testing.assert_close(weights(model), weights(direct), rtol=0, atol=5e-3)
    assert plugin.scaler.get_scale() == 2.0 ** (7 if spoiled else 8)
    assert run.global_step == 8


def test_a_step_without_a_closure_in_between_says_how_it_ends() -> None:
    def wrong(self: Any, batch: Batch, batch_idx: int) -> None:
        optimizer = self.optimizers()
        self.manual_backward(mse(self.model, batch))
        optimizer.first_step()
        self.manual_backward(mse(self.model, batch))
        optimizer.step()

    model = network()
    net = net_of(AFTER, model, training_step=wrong)
    with pytest.raises(RuntimeError, match=r"end that step with second_step\(\) or restore\(\)"):
        fit(net)
    net.optimizers().restore()
    assert torch.equal(weights(model), weights(network()))


def test_what_lightning_returns_can_be_restored() -> None:
    def gives_up(self: Any, batch: Batch, batch_idx: int) -> None:
        optimizer = self.optimizers()
        self.manual_backward(mse(self.model, batch))
        optimizer.first_step()
        assert optimizer.perturbed
        optimizer.restore()
        optimizer.zero_grad()
        assert not optimizer.perturbed

    model = network()
    fit(net_of(AFTER, model, training_step=gives_up))
    assert torch.equal(weights(model), weights(network()))
