"""Several base optimizers in one ball, and schedule-free ones, against SAM written out by hand."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from page import recipe
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import StepLR
from truth import CLOSE, RHO, batches, closure_of, in_steps, mse, network, sam_by_hand, weights

from samlib.optim import GSAM, SAM, LookSAM, SharpnessAware

SECTION = "Several base optimizers in one ball"
FREE = "Schedule-free optimizers"


def names(model: nn.Module) -> dict[str, Any]:
    return {"model": model, "loader": batches(), "loss_fn": nn.MSELoss()}


def split(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    parameters = list(model.parameters())
    return [p for p in parameters if p.dim() == 2], [p for p in parameters if p.dim() != 2]


def two_bases(model: nn.Module) -> tuple[Optimizer, Optimizer]:
    """SGD with momentum for matrices, AdamW for the others; every torch has them."""
    matrices, others = split(model)
    return SGD(matrices, lr=0.1, momentum=0.9), AdamW(others, lr=0.01)


def sam(model: nn.Module, rho: float = RHO) -> SAM:
    return SAM(model.parameters(), two_bases(model), rho=rho)


def train(model: nn.Module, optimizer: SharpnessAware, data: Sequence[Any]) -> None:
    for batch in data:
        optimizer.step(closure_of(model, batch))


def test_muon_and_adamw_share_one_norm() -> None:
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    model, hand = network(), network()
    recipe(SECTION).run(names(model))
    matrices, others = split(hand)
    bases = [torch.optim.Muon(matrices, lr=0.02), AdamW(others, lr=0.01)]
    sam_by_hand(hand, in_steps(batches()), bases)
    # Muon orthogonalizes in bfloat16: a last bit of its input may be one of those.
    torch.testing.assert_close(weights(model), weights(hand), rtol=0, atol=1e-6)


def test_any_two_share_one_norm() -> None:
    model, hand = network(), network()
    train(model, sam(model), batches())
    sam_by_hand(hand, in_steps(batches()), two_bases(hand))
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    apart = network()
    balls = [SAM(p, b, rho=RHO) for p, b in zip(split(apart), two_bases(apart), strict=True)]
    for batch in batches():
        for ball in balls:
            apart.zero_grad()
            ball.step(lambda batch=batch: (apart.zero_grad(), mse(apart, batch).backward()))
    assert float((weights(model) - weights(apart)).norm()) > 1e-3, "two balls are another thing"


def test_one_base_in_a_list_is_that_base() -> None:
    model = network()
    base = SGD(model.parameters(), lr=0.1)
    assert SAM(model.parameters(), [base], rho=RHO).base_optimizer is base


@pytest.mark.parametrize("kind", [GSAM, LookSAM])
def test_optimizers_with_both_gradients(kind: type[SharpnessAware]) -> None:
    """Bases with the settings of one base give what that base gives, in the groups' order."""
    one, several, settings = network(), network(), {"alpha": 0.4}
    groups = [{"params": part} for part in split(one)]
    single = kind(groups, SGD(groups, lr=0.1), rho=RHO, **settings)
    bases = [SGD(part, lr=0.1) for part in split(several)]
    train(one, single, batches())
    train(several, kind(several.parameters(), bases, rho=RHO, **settings), batches())
    assert torch.equal(weights(one), weights(several))


@pytest.mark.parametrize("on", ["the bases", "the whole"])
def test_schedulers(on: str) -> None:
    model, hand = network(), network()
    optimizer, bases = sam(model), two_bases(hand)
    targets = optimizer.base_optimizer.optimizers if on == "the bases" else [optimizer]
    schedulers = [StepLR(each, 1, gamma=0.5) for each in targets]
    by_hand = [StepLR(base, 1, gamma=0.5) for base in bases]
    for batch in batches():
        optimizer.step(closure_of(model, batch))
        for scheduler in schedulers:
            scheduler.step()
    sam_by_hand(hand, in_steps(batches()), bases, after=lambda: [s.step() for s in by_hand])
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)


@pytest.mark.parametrize("way", ["state_dict", "pickle"])
def test_training_goes_on_from_a_saved_state(way: str) -> None:
    whole, part = network(), network()
    train(whole, sam(whole), batches())
    optimizer = sam(part)
    train(part, optimizer, batches()[:4])
    if way == "pickle":
        resumed, again = pickle.loads(pickle.dumps((part, optimizer)))
    else:
        resumed, saved = network(seed=5), copy.deepcopy(optimizer.state_dict())
        resumed.load_state_dict(part.state_dict())
        again = sam(resumed, rho=0.7)
        again.load_state_dict(saved)
        assert {group["rho"] for group in again.param_groups} == {RHO}
    train(resumed, again, batches()[4:])
    assert torch.equal(weights(resumed), weights(whole))


def test_the_state_is_laid_out_like_that_of_one_optimizer() -> None:
    model = network()
    optimizer = sam(model)
    train(model, optimizer, batches()[:1])
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2, 3]]
    assert sorted(state["state"]) == [0, 1, 2, 3]
    assert "momentum_buffer" in state["state"][1]
    assert "exp_avg" in state["state"][2]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(optimizer.state) == 4
    for place, p in enumerate(parameters):
        assert optimizer.state[p] is optimizer.base_optimizer.optimizers[place // 2].state[p]
    moved = {"exp_avg": torch.ones(5)}
    optimizer.state[parameters[2]] = moved
    assert optimizer.base_optimizer.optimizers[1].state[parameters[2]] is moved
    with pytest.raises(KeyError):
        optimizer.state[nn.Parameter(torch.zeros(1))]
    assert len(optimizer.state) == 4, "asking makes no entry"


def test_a_state_of_other_groups_is_refused_before_anything_is_loaded() -> None:
    model = network()
    optimizer = sam(model)
    train(model, optimizer, batches()[:1])
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=r"got \[4\] for \[2, 2\]"):
        optimizer.load_state_dict(SGD(model.parameters(), lr=1.0).state_dict())
    assert str(optimizer.state_dict()) == str(before)


def test_each_group_may_have_a_rho_of_its_own() -> None:
    model, hand = network(), network()
    groups = [
        {"params": part, "rho": rho} for part, rho in zip(split(model), (0.2, 0.0), strict=True)
    ]
    optimizer = SAM(groups, two_bases(model), rho=0.5)
    train(model, optimizer, batches()[:1])
    (batch,) = batches()[:1]
    matrices, others = split(hand)
    first = torch.autograd.grad(mse(hand, batch), [*matrices, *others])
    length = torch.cat([g.flatten() for g in first]).norm()
    with torch.no_grad():
        for p, g in zip(matrices, first[:2], strict=True):
            p += 0.2 * g / length
        second = torch.autograd.grad(mse_with_grad(hand, batch), [*matrices, *others])
        for p, g in zip(matrices, first[:2], strict=True):
            p -= 0.2 * g / length
    for p, g in zip([*matrices, *others], second, strict=True):
        p.grad = g
    for base in two_bases(hand):
        base.step()
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    assert "rho=0.2 | 0" in " ".join(repr(optimizer).split())


def mse_with_grad(model: nn.Module, batch: Any) -> Tensor:
    with torch.enable_grad():
        return mse(model, batch)


def test_repr_shows_all_bases() -> None:
    shown = repr(sam(network()))
    assert shown.index("SAM(") < shown.index("SGD (") < shown.index("AdamW (")


def test_what_cannot_be_several_bases_is_refused() -> None:
    model = network()
    matrices, others = split(model)
    one, two = two_bases(model)
    everything = list(model.parameters())
    for bases, message in (
        ([], r"got \[\]"),
        ([one, SGD], "must be an instance"),
        ([one, SGD(everything, lr=0.1)], "in one base_optimizer only"),
        ([one, SAM(others, SGD(others, lr=0.1), rho=0.1)], "without a closure"),
        ([one, torch.optim.LBFGS(others)], "without a closure"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            SAM(everything, bases, rho=RHO)
    for parameters in (matrices, [{"params": everything[:1]}, {"params": everything[1:]}]):
        with pytest.raises(ValueError, match="the same parameters, in the same groups"):
            SAM(parameters, [one, two], rho=RHO)
    assert "rho" not in one.param_groups[0], "nothing has changed"
    with pytest.raises(ValueError, match=r"base_optimizer\.optimizers\[i\]\.add_param_group"):
        sam(model).add_param_group({"params": [nn.Parameter(torch.ones(1))]})


def test_a_group_may_be_added_to_one_of_the_bases() -> None:
    model, new = network(), nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = sam(model)
    optimizer.base_optimizer.optimizers[1].add_param_group({"params": [new]})
    optimizer.step(lambda: (mse(model, batches()[0]) + new.square().sum()).backward())
    assert float(new.detach()) < 1
    assert optimizer.param_groups[2]["rho"] == RHO


def test_an_error_in_the_second_base_leaves_the_weights() -> None:
    class Failing(SGD):
        def step(self, closure: Any = None) -> None:
            raise KeyError("stop")

    model, before = network(), weights(network())
    matrices, others = split(model)
    bases = [SGD(matrices, lr=0.1), Failing(others, lr=0.1)]
    optimizer = SAM(model.parameters(), bases, rho=RHO)
    with pytest.raises(KeyError, match="stop"):
        train(model, optimizer, batches()[:1])
    assert torch.equal(weights(model), before)


# ------------------------------------------------------------------------------ schedule-free


def test_schedule_free_optimizers_are_told_their_mode() -> None:
    schedulefree = pytest.importorskip("schedulefree")
    model, hand = network(), network()
    scope = recipe(FREE).run(names(model))
    base = schedulefree.AdamWScheduleFree(hand.parameters(), lr=0.01)
    base.train()
    sam_by_hand(hand, in_steps(batches()), base)
    training = weights(hand)
    base.eval()
    assert not torch.equal(training, weights(hand))
    torch.testing.assert_close(weights(model), weights(hand), **CLOSE)
    scope["optimizer"].train()
    torch.testing.assert_close(weights(model), training, **CLOSE)


def test_modes_reach_the_bases_that_have_them() -> None:
    schedulefree = pytest.importorskip("schedulefree")
    model = network()
    matrices, others = split(model)
    bases = [SGD(matrices, lr=0.1), schedulefree.AdamWScheduleFree(others, lr=0.01)]
    optimizer = SAM(model.parameters(), bases, rho=RHO)
    optimizer.train()
    assert bases[1].param_groups[0]["train_mode"]
    train(model, optimizer, batches())
    optimizer.eval()
    assert not bases[1].param_groups[0]["train_mode"]
    plain = SAM(model.parameters(), SGD(model.parameters(), lr=0.1), rho=RHO)
    plain.train()
    plain.eval()
