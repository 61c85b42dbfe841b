"""The networks that are asked about."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from step_networks import resnet8
from torch import Tensor, nn

import samlib

# A network, its loss, inputs and targets.
Case = tuple[nn.Module, nn.Module, Tensor, Tensor]


def perceptron(device: str) -> Case:
    """64-128-128-10 on all 1,797 digits, after 200 steps of full-batch training."""
    images, labels = load_digits(return_X_y=True)
    inputs = torch.as_tensor(images, dtype=torch.float32, device=device) / 16
    targets = torch.as_tensor(labels, device=device)
    model = samlib.problems.perceptron((64, 128, 128, 10), seed=0, dtype=torch.float32).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    return model, nn.CrossEntropyLoss(), inputs, targets


def residual_network(device: str) -> Case:
    """A ResNet of 309,000 parameters on 512 random images, BatchNorm in eval mode."""
    torch.manual_seed(0)
    model = resnet8(32).to(device)
    inputs, targets = torch.randn(512, 3, 32, 32), torch.randint(0, 10, (512,))
    inputs, targets = inputs.to(device), targets.to(device)
    with torch.no_grad():
        model(inputs)  # running statistics that belong to the data
    return model.eval(), nn.CrossEntropyLoss(), inputs, targets
