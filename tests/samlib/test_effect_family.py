"""SAMEffect with every optimizer of the family, and the hooks that it reads by."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

from samlib import Objective, optim
from samlib.training import SAMEffect, fit
from samlib.training.gradient_pairs import PairMeans
from tests.samlib.optimizers import (
    FAMILY,
    IN_TWO_STEPS,
    LR,
    Problem,
    make,
    scaled_step,
    scaler_for,
    step,
    two_step,
)
from tests.samlib.training_cases import MSE, network, rows, sgd

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
READ = [name for name in FAMILY if name != "DiametricalRisk"]


def compared(objective: Objective, here: Tensor, there: Tensor) -> Tensor:
    """Difference, ratio, cosine and curvature, from the weights of the two passes."""
    g, g_p, e = objective.gradient(here), objective.gradient(there), there - here
    cosine = g @ g_p / g.norm() / g_p.norm()
    curvature = (g_p - g) @ e / (e @ e)
    return torch.stack([(g_p - g).norm() / g.norm(), g_p.norm() / g.norm(), cosine, curvature])


def numbers(readings: dict[str, float]) -> Tensor:
    names = ("difference", "ratio", "cosine", "curvature")
    return torch.tensor([readings[f"sam_{name}"] for name in names], dtype=torch.float64)


@pytest.mark.parametrize("name", READ)
def test_each_optimizer_shows_its_two_gradients(name: str, device: torch.device) -> None:
    problem = Problem(device)
    optimizer = make(name, problem)
    effect = SAMEffect(optimizer)
    seen: list[Tensor] = []
    step(problem, optimizer, before=lambda: seen.append(problem.weights()))
    if name == "MSAM":  # the first micro-batch, of three rows
        part = (problem.inputs[:3], problem.targets[:3])
        micro_batch = Objective.from_module(problem.model, MSE, part)
        truth = compared(micro_batch, seen[0], seen[1])
    else:
        truth = compared(problem.objective, seen[0], seen[-1])
    torch.testing.assert_close(numbers(effect(1, problem.model)), truth.cpu(), rtol=1e-8, atol=0)


def test_every_micro_batch_of_msam_is_a_pair() -> None:
    problem = Problem(CPU)
    optimizer = make("MSAM", problem)  # 8 rows in micro-batches of 3, 3 and 2
    seen: list[Tensor] = []
    shown: list[list[Tensor]] = []
    optimizer.register_gradient_hook(lambda *v: shown.append([each.clone() for each in v]))
    step(problem, optimizer, before=lambda: seen.append(problem.weights()))
    for i, cut in enumerate([slice(0, 3), slice(3, 6), slice(6, 8)]):
        part = (problem.inputs[cut], problem.targets[cut])
        objective = Objective.from_module(problem.model, MSE, part)
        here, there = seen[2 * i], seen[2 * i + 1]
        want = [objective.gradient(here), there - here, objective.gradient(there)]
        torch.testing.assert_close(shown[i], want, rtol=1e-10, atol=1e-14)
    assert len(shown) == 3


@pytest.mark.parametrize("name", IN_TWO_STEPS)
def test_in_two_steps_too(name: str) -> None:
    one, two = Problem(CPU), Problem(CPU)
    effects = []
    for problem, do in ((one, step), (two, two_step)):
        optimizer = make(name, problem)
        effects.append(SAMEffect(optimizer))
        do(problem, optimizer)
    by_closure, by_hand = (numbers(e(1, p.model)) for e, p in zip(effects, (one, two), strict=True))
    torch.testing.assert_close(by_closure, by_hand, rtol=1e-9, atol=0)


def test_an_optimizer_without_a_gradient_at_the_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="DiametricalRisk evaluates no gradient at the weights"):
        SAMEffect(make("DiametricalRisk", Problem(CPU)))


def test_between_its_sam_steps_looksam_has_nothing_to_compare() -> None:
    problem = Problem(CPU)
    optimizer = make("LookSAM", problem)  # SAM's step at every third
    effect = SAMEffect(optimizer)
    found: list[bool] = []
    shown: list[int] = []
    optimizer.register_gradient_hook(lambda *_: shown.append(len(found)))
    for i in range(4):
        step(problem, optimizer)
        found.append(bool(effect(i, problem.model)))
        assert effect.summary().startswith("LookSAM acts")
    assert found == [True, False, False, True]
    assert shown == [0, 3]


@pytest.mark.parametrize("spoiled", [1, 2])
@pytest.mark.parametrize("name", ["SAM", "GSAM"])
def test_a_skipped_step_does_not_count(name: str, spoiled: int) -> None:
    problem = Problem(CPU)
    optimizer, scaler = make(name, problem), scaler_for(CPU)
    effect = SAMEffect(optimizer)
    scaled_step(problem, optimizer, scaler, spoil_call=spoiled)
    scaler.update()
    assert effect(1, problem.model) == {}
    assert effect.summary() == "Nothing has been read yet."
    before = problem.weights()
    scaled_step(problem, optimizer, scaler)
    g = problem.objective.gradient(before)
    truth = compared(problem.objective, before, before + 0.1 * g / g.norm())
    # The scale, a power of two, is taken out exactly; the rest is float64's rounding.
    torch.testing.assert_close(numbers(effect(2, problem.model)), truth, rtol=1e-8, atol=0)


def test_an_exact_zero_gradient_is_left_out() -> None:
    means = PairMeans()
    zero, e, g = torch.zeros(2), torch.tensor([0.5, 0.0]), torch.tensor([0.0, 2.0])
    means.add(zero, e, g)
    assert means.take() == (None, 0)
    means.add(zero, e, g)
    means.add(g, e, g + torch.tensor([3.0, 0.0]))
    got, _ = means.take()
    assert got is not None
    assert (got.pairs, got.difference, got.length, got.curvature) == (1, 1.5, 0.5, 6.0)
    assert means.take() == (None, 0), "it begins anew"


def test_watching_waits_for_no_device() -> None:
    # A tensor on the device "meta" has no numbers: asking for one raises.
    vector = torch.empty(7, device="meta")
    with pytest.raises(RuntimeError):
        vector.sum().item()
    means = PairMeans()
    means.add(vector, vector, vector)


class TestEdges:
    def test_it_is_read_only_where_it_decides_something(self) -> None:
        problem = Problem(CPU)
        weights = list(problem.model.parameters())
        adam = optim.SAM(weights, torch.optim.Adam(weights), rho=0.1)
        for name, optimizer in {**{n: make(n, problem) for n in READ}, "Adam": adam}.items():
            known = name in ("SAM", "UnnormalizedSAM")
            effect = SAMEffect(optimizer)
            assert ("edge_along" in effect.measure) == known, name
            assert {"difference", "ratio", "cosine", "curvature"} <= set(effect.measure)
            if not known:
                with pytest.raises(ValueError, match=f"none is known (for|around) {name}"):
                    SAMEffect(optimizer, "edge")

    @pytest.mark.parametrize("key", ["rho", "lr", "momentum"])
    def test_groups_that_differ_have_no_common_edge(self, key: str) -> None:
        problem = Problem(CPU)
        first, *others = problem.model.parameters()
        base = torch.optim.SGD([{"params": [first]}, {"params": others}], lr=LR)
        groups = [{"params": [first]}, {"params": others}]
        optimizer = optim.SAM(groups, base, rho=0.1)
        effect = SAMEffect(optimizer, ("difference", "edge_along"))
        step(problem, optimizer)
        assert "sam_edge_along" in effect(1, problem.model)
        optimizer.param_groups[1][key] = 0.02
        with pytest.raises(ValueError, match=f"groups differ in {key}"):
            SAMEffect(optimizer, "edge_along")
        step(problem, optimizer)
        assert set(effect(2, problem.model)) == {"sam_difference"}

    def test_of_some_parameters_it_is_that_of_their_block(self) -> None:
        model, data = network(), rows()
        trained = list(model[2].parameters())
        optimizer = optim.SAM(trained, torch.optim.SGD(trained, lr=0.1), rho=0.1)
        effect = SAMEffect(optimizer, ("top_eigenvalue", "share"), data=data, loss_fn=MSE)
        got = effect(0, model)
        objective = Objective.from_module(model, MSE, data)
        kept = objective.where("2.*")
        x = objective.flat_parameters()
        values, vectors = torch.linalg.eigh(objective.hessian(x)[kept][:, kept])
        g = objective.gradient(x)[kept]
        assert got["sam_top_eigenvalue"] == pytest.approx(float(values[-1]), rel=1e-9)
        assert got["sam_share"] == pytest.approx(float((vectors[:, -1] @ g / g.norm()) ** 2))
        with pytest.raises(ValueError, match="parameters of the optimizer"):
            effect(0, network())


class TestHooks:
    def test_nobody_is_shown_anything_after_the_end(self) -> None:
        problem = Problem(CPU)
        optimizer = make("SAM", problem)
        effect = SAMEffect(optimizer)
        effect.stop()
        step(problem, optimizer)
        assert effect(1, problem.model) == {}

    def test_a_copy_is_not_watched(self) -> None:
        problem = Problem(CPU)
        calls: list[int] = []
        optimizer = make("SAM", problem)
        optimizer.register_gradient_hook(lambda *_: calls.append(1))
        model, other = copy.deepcopy((problem.model, optimizer))
        problem.model = model
        step(problem, other)
        assert not calls

    def test_what_a_hook_raises_leaves_the_weights_as_they_were(self) -> None:
        problem = Problem(CPU)
        optimizer = make("GSAM", problem)

        def fail(*gradients: Tensor) -> None:
            raise KeyboardInterrupt

        handle = optimizer.register_gradient_hook(fail)
        before = problem.weights()
        with pytest.raises(KeyboardInterrupt):
            step(problem, optimizer)
        assert torch.equal(problem.weights(), before)
        handle.remove()
        step(problem, optimizer)
        assert not torch.equal(problem.weights(), before)

    def test_a_step_that_is_under_way_is_not_shown(self) -> None:
        problem = Problem(CPU)
        optimizer = make("AMP", problem)  # three perturbations a step
        problem.closure(optimizer)()
        optimizer.first_step()
        effect = SAMEffect(optimizer)
        for _ in range(2):
            problem.closure(optimizer)()
            optimizer.first_step()
        problem.closure(optimizer)()
        optimizer.second_step()
        assert effect(1, problem.model) == {}

    def test_a_hook_says_when_it_wants_to_be_shown_a_step(self) -> None:
        problem = Problem(CPU)
        optimizer = make("AMP", problem)
        asked, shown = [], []

        def when() -> bool:
            asked.append(problem.weights())
            return len(asked) % 2 == 0

        optimizer.register_gradient_hook(lambda *_: shown.append(len(asked)), when=when)
        for _ in range(5):
            step(problem, optimizer)
        assert len(asked) == 5
        assert shown == [2, 4]

    @pytest.mark.parametrize("name", READ)
    def test_the_steps_are_the_same_to_the_bit(self, name: str) -> None:
        ends = []
        for watched in (False, True):
            problem = Problem(CPU)
            optimizer = make(name, problem, momentum=0.9)
            if watched:
                optimizer.register_gradient_hook(lambda *_: None)
            for _ in range(4):
                step(problem, optimizer)
            ends.append(problem.weights())
        assert torch.equal(*ends)

    def test_parameters_that_one_pass_alone_reaches_count_as_zero_in_the_other(self) -> None:
        a, b = (nn.Parameter(torch.tensor([x])) for x in (1.0, 5.0))
        optimizer = optim.SAM([a, b], torch.optim.SGD([a, b], lr=0.1), rho=0.5)
        shown: list[list[Tensor]] = []
        optimizer.register_gradient_hook(lambda *v: shown.append([each.clone() for each in v]))
        (a**2).sum().backward()
        optimizer.first_step()
        ((a**2).sum() + 3 * b.sum()).backward()
        optimizer.second_step()
        g, e, g_p = shown[0]
        assert (g.tolist(), e.tolist(), g_p.tolist()) == ([2, 0], [0.5, 0], [3, 3])


def test_dropout_is_warned_of() -> None:
    def said(*layers: nn.Module) -> str:
        model = nn.Sequential(nn.Linear(4, 6), *layers, nn.Linear(6, 1)).double()
        optimizer = optim.SAM(model.parameters(), sgd(model), rho=0.1)
        effect = SAMEffect(optimizer)
        fit(model, rows(), optimizer, loss_fn=MSE, epochs=1, monitors=[effect], progress=False)
        return effect.summary()

    assert "has dropout" in said(nn.Dropout(0.5))
    assert "has dropout" not in said(nn.Dropout(0.0))


def test_a_loss_of_model_and_batch_is_measured_too() -> None:
    model, (inputs, targets) = network(), rows()
    optimizer = optim.SAM(model.parameters(), sgd(model), rho=0.1)

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return MSE(model(batch["inputs"]), batch["targets"])

    batch = {"inputs": inputs, "targets": targets}
    effect = SAMEffect(optimizer, "top_eigenvalue", data=batch, loss=loss)
    objective = Objective.from_module(model, MSE, (inputs, targets))
    top = torch.linalg.eigvalsh(objective.hessian(objective.flat_parameters()))[-1]
    assert effect(0, model)["sam_top_eigenvalue"] == pytest.approx(float(top), rel=1e-9)


def test_outside_of_fit_a_loss_is_needed_for_products() -> None:
    problem = Problem(CPU)
    with pytest.raises(ValueError, match="needs data= and loss_fn= or loss="):
        SAMEffect(make("SAM", problem), "share")(0, problem.model)


def test_a_monitor_and_its_optimizer_are_let_go_of() -> None:
    optimizer = make("SAM", Problem(CPU))
    effect = SAMEffect(optimizer)
    alive = [weakref.ref(optimizer), weakref.ref(effect)]
    del optimizer, effect
    gc.collect()
    assert [each() for each in alive] == [None, None]


def test_clipped_gradients_are_left_out() -> None:
    problem = Problem(CPU)
    optimizer = make("SAM", problem)
    norms: list[float] = []
    optimizer.register_gradient_hook(lambda g, e, g_p: norms.append(float(g_p.norm())))
    for _ in range(6):
        two_step(problem, optimizer)
    limit = sorted(norms)[3] * 0.99  # some are longer, some are not

    problem = Problem(CPU)
    weights = list(problem.model.parameters())
    optimizer = make("SAM", problem)
    unaware, aware = SAMEffect(optimizer), SAMEffect(optimizer, clipping=limit)
    clipped = 0
    for _ in range(6):
        problem.closure(optimizer)()
        optimizer.first_step()
        problem.closure(optimizer)()
        is_clipped = bool(nn.utils.clip_grad_norm_(weights, limit) > limit)
        optimizer.second_step()
        want, got = unaware(0, problem.model), aware(0, problem.model)
        assert got == ({} if is_clipped else want)
        assert ("In 1 step a gradient was clipped" in aware.summary()) == is_clipped
        clipped += is_clipped
    assert 0 < clipped < 6
