"""The worst direction of networks against plain ascent: `python benchmarks/worst_direction.py`.

How much of max L(x + ρv) − L(x) over ‖v‖ ≤ 1 is found with 400 gradients, by
``worst_direction_sharpness`` and by three forms of projected gradient ascent, all started at the
gradient: v ← (v + ηg/‖g‖)/‖·‖ with η = .1 and 1, and v ← g/‖g‖, the conditional gradient. These are
written here, and their values count nothing. Ours count: a value and a gradient as one gradient
each, a product with the Hessian as two. What a value and a product cost on this machine is measured
beside; both are to cost no more than that.

Then ours as it is by default: value, error, evaluations and CPU time beside that of 400 gradients.
Whether the error covers what is still to be had is asked of the highest value that anything here
found, another search with 24 restarts included. All in float64, for rounding not to decide.

A vision transformer and a GPT-2 from configurations, a perceptron on the digits with tanh and with
ReLU units, and a residual network with BatchNorm in eval mode, with random weights and after some
training.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import transformers
from goals import Goal, show, stored
from simulate import provenance, results_path
from sklearn.datasets import load_digits
from step_networks import resnet8
from torch import Tensor, nn

import samlib

RADII = (0.05, 0.5, 2.0)
BUDGET, STEPS = 400, (0.1, 1.0, math.inf)
# Where plain ascent stands is looked at once in so many steps, and at its end.
LOOKS = 4
# What is alike, relative to the value: a climb across kinks ends at its last digits only.
ALIKE = 1e-4
# The random starts of the search that looks for what the one by default missed.
MORE_STARTS = 24


def trained(model: nn.Module, loss: Callable[[], Tensor], steps: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


def own_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    loss: Tensor = model(**batch).loss
    return loss


def of_transformers(
    model: nn.Module, batch: dict[str, Tensor], steps: int
) -> samlib.ModuleObjective:
    trained(model.double().eval(), lambda: own_loss(model, batch), steps)
    return samlib.Objective.from_loss(model, own_loss, batch)


def vision_transformer(steps: int) -> samlib.ModuleObjective:
    """Two layers of width 16 on 8 random images."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
        image_size=16, patch_size=4, num_labels=10,
    )  # fmt: skip
    batch = {
        "pixel_values": torch.randn(8, 3, 16, 16).double(),
        "labels": torch.randint(0, 10, (8,)),
    }
    return of_transformers(transformers.ViTForImageClassification(config), batch, steps)


def language_model(steps: int) -> samlib.ModuleObjective:
    """Two layers of width 32 on 8 × 16 random tokens of 64 kinds."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=32, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    tokens = torch.randint(0, 64, (8, 16))
    batch = {"input_ids": tokens, "labels": tokens}
    return of_transformers(transformers.GPT2LMHeadModel(config), batch, steps)


def of_outputs(
    model: nn.Module, inputs: Tensor, targets: Tensor, steps: int
) -> samlib.ModuleObjective:
    loss_fn = nn.CrossEntropyLoss()
    trained(model.double(), lambda: loss_fn(model(inputs), targets), steps)
    with torch.no_grad():
        for _ in range(30):
            model(inputs)  # running statistics that belong to the data
    return samlib.Objective.from_module(model.eval(), loss_fn, (inputs, targets))


def perceptron(steps: int, unit: type[nn.Module] = nn.Tanh) -> samlib.ModuleObjective:
    """64-32-32-10 on 400 digits."""
    images, labels = load_digits(return_X_y=True)
    inputs = torch.as_tensor(images[:400], dtype=torch.float64) / 16
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 32), unit(), nn.Linear(32, 32), unit(), nn.Linear(32, 10)
    )  # fmt: skip
    return of_outputs(model, inputs, torch.as_tensor(labels[:400]), steps)


def residual_network(steps: int) -> samlib.ModuleObjective:
    """A ResNet-8 of width 8 on 32 random images."""
    torch.manual_seed(0)
    inputs, targets = torch.randn(32, 3, 16, 16).double(), torch.randint(0, 10, (32,))
    return of_outputs(resnet8(8), inputs, targets, steps)


CASES: dict[str, Callable[[], samlib.ModuleObjective]] = {
    "ViT": lambda: vision_transformer(0),
    "ViT, trained": lambda: vision_transformer(60),
    "GPT-2, trained": lambda: language_model(60),
    "MLP": lambda: perceptron(0),
    "MLP, trained": lambda: perceptron(150),
    "ReLU": lambda: perceptron(0, nn.ReLU),
    "ReLU, trained": lambda: perceptron(150, nn.ReLU),
    "ResNet, trained": lambda: residual_network(20),
}


class Counted(samlib.Objective):
    """A loss that counts what is evaluated, and remembers the highest value within the budget."""

    def __init__(self, objective: samlib.Objective) -> None:
        super().__init__(objective.value, objective.dim)
        self._objective = objective
        self.spent, self.highest = 0, -math.inf

    def rounding_unit(self, x: Tensor) -> float:
        """As it is."""
        return self._objective.rounding_unit(x)

    def value(self, x: Tensor) -> Tensor:
        """Count one each."""
        values = self._objective.value(x)
        self.spent += x[..., 0].numel()
        if self.spent <= BUDGET:
            self.highest = max(self.highest, float(values.max()))
        return values

    def gradient(self, x: Tensor) -> Tensor:
        """Count one each."""
        self.spent += x[..., 0].numel()
        return self._objective.gradient(x)

    def hessian_operator(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Count two a product."""
        apply = self._objective.hessian_operator(x)

        def counted(v: Tensor) -> Tensor:
            self.spent += 2
            return apply(v)

        return counted


def ascended(objective: samlib.Objective, x: Tensor, rho: float) -> list[float]:
    """Return the highest rises of plain projected ascent, a step each; values count nothing."""
    steps = torch.tensor(STEPS, dtype=x.dtype).unsqueeze(1)
    v = torch.zeros(len(STEPS), len(x), dtype=x.dtype)
    highest = torch.full((len(STEPS),), -math.inf, dtype=x.dtype)
    for turn in range(BUDGET):
        gradient = objective.gradient(x + rho * v)
        unit = gradient / gradient.norm(dim=-1, keepdim=True)
        alone = steps.isinf() | (turn == 0)
        v = torch.where(alone, unit, v + steps.nan_to_num(posinf=0) * unit)
        v = v / v.norm(dim=-1, keepdim=True)
        if turn % LOOKS == LOOKS - 1:
            highest = torch.maximum(highest, objective.value(x + rho * v))
    return [float(rise) for rise in highest - objective.value(x)]


def costs(objective: samlib.Objective, x: Tensor) -> dict[str, float]:
    """CPU seconds of a gradient; of a value and a product, in gradients."""
    apply = objective.hessian_operator(x)
    seconds: dict[str, list[float]] = {"gradient": [], "value": [], "product": []}
    functions = (objective.gradient, objective.value, apply)
    for _ in range(12):
        for name, function in zip(seconds, functions, strict=True):
            begin = time.process_time()
            function(x)
            seconds[name].append(time.process_time() - begin)
    gradient, value, hessian = (median(each[2:]) for each in seconds.values())
    return {"gradient_s": gradient, "value": value / gradient, "product": hessian / gradient}


def measured(name: str, objective: samlib.ModuleObjective, rho: float) -> dict[str, Any]:
    x = objective.flat_parameters()
    before = float(objective.value(x))
    each = costs(objective, x)
    counted = Counted(objective)
    begin = time.process_time()
    found = samlib.worst_direction_sharpness(counted, x, rho, progress=False)
    seconds = time.process_time() - begin
    more = samlib.worst_direction_sharpness(
        objective, x, rho, restarts=MORE_STARTS, seed=1, progress=False
    )
    ascents = ascended(objective, x, rho)
    return {
        "case": name,
        "rho": rho,
        "dim": objective.dim,
        **each,
        "ours_at_budget": counted.highest - before,
        "ascents": ascents,
        "ratio": (counted.highest - before) / max(ascents),
        "value_found": float(found.value),
        "error": float(found.error),
        "evaluations": found.evaluations,
        "cpu_in_gradients": seconds / each["gradient_s"],
        "highest_known": max(float(found.value), float(more.value), *ascents),
    }


def covered(row: dict[str, Any]) -> bool:
    missing = row["highest_known"] - row["value_found"]
    return bool(missing <= row["error"] + ALIKE * row["value_found"])


def report(row: dict[str, Any]) -> None:
    ascents = "".join(f"{ascent:9.4g}" for ascent in row["ascents"])
    print(
        f"{row['case']:16}{row['rho']:5g}{row['ours_at_budget']:10.5g}{ascents}{row['ratio']:9.5f}"
        f"{row['value_found']:11.5g} ±{row['error']:8.2g}{row['highest_known']:11.5g}"
        f"{row['evaluations']:6}{row['cpu_in_gradients']:8.0f}{row['value']:7.2f}"
        f"{row['product']:6.2f}",
        flush=True,
    )


def goals_of(rows: list[dict[str, Any]]) -> list[Goal]:
    vits = [row["ratio"] for row in rows if row["case"].startswith("ViT")]
    all_of_them = [row["ratio"] for row in rows]
    against = "the best of three step lengths of projected ascent"
    ratios = {"ViT": vits, "all networks": all_of_them}
    return [
        *(
            Goal(f"worst direction, {name}: ours ÷ ascent at equal gradients",
                 min(of), 1 - ALIKE, at_least=True, against=against)
            for name, of in ratios.items()
        ),
        Goal("worst direction: errors that cover what is known",
             sum(map(covered, rows)) / len(rows), 0.9, at_least=True,
             against="the highest value found by anything"),
    ]  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(f"Rise found in {BUDGET} gradients, then by default; costs are in gradients\n")
    print(
        f"{'':16}{'ρ':>5}{'ours':>10}{'η = .1':>9}{'η = 1':>9}{'g/‖g‖':>9}{'ratio':>9}"
        f"{'default':>11}  {'error':>8}{'known':>11}{'evals':>6}{'CPU':>8}{'value':>7}{'prod.':>6}"
    )
    rows = []
    for name, build in CASES.items():
        objective = build()
        for rho in RADII:
            rows.append(measured(name, objective, rho))
            report(rows[-1])
    goals = goals_of(rows)
    show(goals)
    results = {"provenance": provenance(), "rows": rows, "goals": stored(goals)}
    results_path("worst_direction", "cpu").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
