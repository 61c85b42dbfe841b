"""Small networks with what may go wrong in them, and data for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import samlib
from samlib import Objective


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


def data_of(kind: str, inputs: Tensor, targets: Tensor) -> Any:
    if kind == "pair":
        return inputs, targets
    if kind == "list":  # 3, 1 and 3 of 7 rows
        return [(inputs[i:j], targets[i:j]) for i, j in ((0, 3), (3, 4), (4, 7))]
    return DataLoader(TensorDataset(inputs, targets), batch_size=5, shuffle=kind == "shuffled")


def own_derivatives(
    model: nn.Module, loss_fn: Any, inputs: Tensor, targets: Tensor, v: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, gradient and ∇²L v in eval mode: autograd in the module's own parameters, once.

    The product is a central difference of gradients, so it needs no second derivative of torch.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    weights = [p for p in model.parameters() if p.requires_grad]
    x = nn.utils.parameters_to_vector(weights).detach().clone()

    def at(point: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            nn.utils.vector_to_parameters(point.clone(), weights)
        loss = loss_fn(model(inputs), targets)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        return loss.detach(), torch.cat([g.reshape(-1) for g in gradients])

    step = 1e-5
    product = (at(x + step * v)[1] - at(x - step * v)[1]) / (2 * step)
    loss, gradient = at(x)
    for module, mode in modes:
        module.training = mode
    return loss, gradient, product


def through_rows(model: nn.Module, loss_fn: Any, inputs: Any, targets: Tensor) -> tuple[Any, ...]:
    """J [outputs, D] and ∇²ℓ [outputs, outputs] in eval mode, entry by entry of the outputs."""
    weights = [p for p in model.parameters() if p.requires_grad]
    modes = [(module, module.training) for module in model.modules()]
    outputs = model.eval()(inputs)
    rows = [
        torch.autograd.grad(y, weights, retain_graph=True, materialize_grads=True)
        for y in outputs.reshape(-1)
    ]
    for module, mode in modes:
        module.training = mode
    jacobian = torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])

    def of_outputs(flat: Tensor) -> Tensor:
        loss: Tensor = loss_fn(flat.reshape(outputs.shape), targets)
        return loss

    flat = outputs.detach().reshape(-1)
    return jacobian, torch.autograd.functional.hessian(of_outputs, flat)
