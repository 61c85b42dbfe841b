"""A SAM step against a plain step of the same network: `python benchmarks/optim.py`.

SAM needs two gradients where plain SGD needs one. A plain step is one gradient and the base
optimizer's update, so a SAM step would cost a little less than two plain ones if its own work were
free; "two gradients" is that limit: the closure twice, then the base step. Beside samlib run
pytorch-optimizer and a step in the style that is usually copied from page to page.

An MLP 64-128-128-10 on scikit-learn's digits, all 1,797 rows and 128 of them, and a ResNet-8 with
BatchNorm on 128 random images, all in float32, with one thread and with two; the base optimizer is
SGD, plain and as SAM is used with it, with momentum and weight decay. Every round times
each contender once, one after the other, so that all meet the same load of the machine; a ratio is
the median over rounds of the ratio within a round.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import product
from statistics import median
from typing import Any

import pytorch_optimizer
import torch
from simulate import finish, provenance, results_path
from sklearn.datasets import load_digits
from torch import Tensor, nn

import samlib

RHO = 0.05
BASES: dict[str, dict[str, float]] = {
    "plain SGD": {"lr": 0.01},
    "SGD with momentum": {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4},
}
MOST_RATIO = {"MLP, 1797 rows": 1.95, "MLP, 128 rows": 1.95, "ResNet-8, 128 images": 2.02}


class Block(nn.Module):
    """Two 3×3 convolutions with BatchNorm beside an identity, or a 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return [rows, outputs, …] from x [rows, inputs, …]."""
        inner = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


def resnet8(width: int) -> nn.Sequential:
    """Three blocks of 1, 2 and 4 times the width on 32×32 images: 78,042 parameters for 16."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Block(width, width, 1),
        Block(width, 2 * width, 2),
        Block(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, 10),
    )


def digits(rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    model = samlib.problems.perceptron((64, 128, 128, 10), seed=0, dtype=torch.float32)
    inputs = torch.as_tensor(images[:rows], dtype=torch.float32) / 16
    return model, inputs, torch.as_tensor(labels[:rows])


def images(width: int, rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    return resnet8(width), torch.randn(rows, 3, 32, 32), torch.randint(10, (rows,))


def usual(parameters: list[Tensor], base: torch.optim.Optimizer) -> Callable[[Any], Any]:
    """Return the SAM step that one finds everywhere, parameter by parameter."""

    @torch.no_grad()
    def step(closure: Callable[[], Tensor]) -> None:
        with torch.enable_grad():
            closure()
        norm = torch.stack([p.grad.norm() for p in parameters]).norm() + 1e-12
        before = [p.clone() for p in parameters]
        for p in parameters:
            p.add_(p.grad * (RHO / norm))
        with torch.enable_grad():
            closure()
        for p, old in zip(parameters, before, strict=True):
            p.copy_(old)
        base.step()

    return step


def contenders(
    model: nn.Module, closure: Callable[[], Tensor], settings: dict[str, float]
) -> dict[str, Callable[[], Any]]:
    """Return a step of each contender, all on the same model."""
    parameters = list(model.parameters())
    base = torch.optim.SGD(parameters, **settings)
    ours = samlib.optim.SAM(parameters, base, rho=RHO)
    told = samlib.optim.SAM(parameters, base, rho=RHO, model=model)
    plain = torch.optim.SGD(parameters, **settings)
    by_hand = usual(parameters, plain)
    sgd = torch.optim.SGD
    peer = pytorch_optimizer.SAM(parameters, sgd, rho=RHO, **settings)
    peer_foreach = pytorch_optimizer.SAM(parameters, sgd, rho=RHO, foreach=True, **settings)

    def two_gradients() -> None:
        closure()
        closure()
        plain.step()

    def of_peer(optimizer: pytorch_optimizer.SAM) -> Callable[[], None]:
        def step() -> None:
            closure()
            optimizer.step(closure)

        return step

    return {
        "plain": lambda: plain.step(closure),
        "samlib": lambda: ours.step(closure),
        "samlib, model=": lambda: told.step(closure),
        "two gradients": two_gradients,
        "pytorch-optimizer": of_peer(peer),
        "pytorch-optimizer, foreach": of_peer(peer_foreach),
        "usual style": lambda: by_hand(closure),
    }


def seconds(step: Callable[[], Any], repeats: int) -> float:
    finish()
    begin = time.perf_counter()
    for _ in range(repeats):
        step()
    finish()
    return (time.perf_counter() - begin) / repeats


def measure(
    problem: tuple[nn.Module, Tensor, Tensor],
    rounds: int,
    repeats: int,
    device: str,
    settings: dict[str, float],
) -> dict[str, dict[str, float]]:
    """Return each contender's median time, and the median of its ratio to a plain step."""
    model, inputs, targets = (part.to(device) for part in problem)
    model.train()

    def closure() -> Tensor:
        model.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    steps = contenders(model, closure, settings)
    for step in steps.values():
        seconds(step, 2)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(seconds(step, repeats))
    return {
        name: {
            "seconds": median(times[name]),
            "ratio": median(t / p for t, p in zip(times[name], times["plain"], strict=True)),
        }
        for name in steps
    }


def problems(device: str) -> list[tuple[str, tuple[nn.Module, Tensor, Tensor], int, int]]:
    """Return name, problem, rounds and repeats; a GPU also gets work that fills it."""
    for_all = [
        ("MLP, 1797 rows", digits(1797), 30, 5),
        ("MLP, 128 rows", digits(128), 60, 20),
        ("ResNet-8, 128 images", images(16, 128), 9, 1),
    ]
    if device == "cpu":
        return for_all
    return [*for_all, ("ResNet-8 of width 64, 1024 images", images(64, 1024), 9, 3)]


def main(device: str = "cpu") -> None:
    results: list[dict[str, Any]] = []
    for threads in (1, 2) if device == "cpu" else (1,):
        torch.set_num_threads(threads)
        for (name, problem, rounds, repeats), base in product(problems(device), BASES):
            measured = measure(problem, rounds, repeats, device, BASES[base])
            results.append(
                {"problem": name, "base": base, "threads": threads, "contenders": measured}
            )
            print(f"\n{name}, {base}, {threads} thread{'s' * (threads > 1)}")
            for contender, row in measured.items():
                print(f"  {contender:28}{1e3 * row['seconds']:10.3f} ms{row['ratio']:8.3f}")
    where = provenance(device) | {"pytorch-optimizer": version("pytorch-optimizer")}
    text = json.dumps({"provenance": where, "steps": results}, indent=2)
    results_path("optim", device).write_text(text + "\n")
    for result in results:
        if most := MOST_RATIO.get(result["problem"]):
            ratio = result["contenders"]["samlib"]["ratio"]
            met = "yes" if ratio <= most else "NO"
            which = f"{result['problem']}, {result['base']}, threads {result['threads']}"
            print(f"{which}: {ratio:.2f} ≤ {most}: {met}")


if __name__ == "__main__":
    main()
