"""SharpnessAware.perturbed: whether the weights are away from where the step began."""

from __future__ import annotations

import pytest
import torch

from samlib.optim import SAM
from tests.samlib.optimizers import FAMILY, Problem, make, step


@pytest.mark.parametrize("name", FAMILY)
def test_it_is_said_in_every_pass_whether_the_weights_are_away(
    name: str, device: torch.device
) -> None:
    problem = Problem(device)
    optimizer = make(name, problem)
    for _ in range(3):
        begin = problem.weights().clone()
        passes: list[tuple[bool, bool]] = []
        step(
            problem,
            optimizer,
            before=lambda begin=begin, passes=passes: passes.append(
                (optimizer.perturbed, not torch.equal(problem.weights(), begin))
            ),
        )
        assert passes
        assert all(said == away for said, away in passes), passes
        assert not optimizer.perturbed


def test_it_is_said_between_two_steps_and_after_a_failure() -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    sam = SAM([weight], torch.optim.SGD([weight], lr=0.1), rho=0.1)
    assert not sam.perturbed
    weight.square().sum().backward()
    sam.first_step()
    assert sam.perturbed
    weight.square().sum().backward()
    sam.second_step()
    assert not sam.perturbed

    def failing() -> torch.Tensor:
        if sam.perturbed:
            raise OSError("no disk")
        sam.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    with pytest.raises(OSError, match="no disk"):
        sam.step(failing)
    assert not sam.perturbed
