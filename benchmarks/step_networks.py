"""The networks on which a step of an optimizer is measured."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import samlib


@dataclass(frozen=True)
class Problem:
    """A network with its data, how often each contender is timed, and the steps at a time."""

    name: str
    model: nn.Module
    inputs: Tensor
    targets: Tensor
    rounds: int
    repeats: int

    def copied(self, device: str) -> tuple[nn.Module, Tensor, Tensor]:
        """Return a network of one's own, and the data."""
        model = copy.deepcopy(self.model).to(device).train()
        return model, self.inputs.to(device), self.targets.to(device)


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


class Encoder(nn.Module):
    """Tokens embedded, then transformer layers, then a class for each sequence."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, width)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.classes = nn.Linear(width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return [rows, 10] from tokens [rows, length]."""
        classes: Tensor = self.classes(self.layers(self.embedding(tokens)).mean(1))
        return classes


def four_tensors() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in ((2, 5), (5, 2), (2, 5), (5, 2)):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.Tanh()]
    return nn.Sequential(*layers), torch.randn(10, 2), torch.randint(2, (10,))


def tokens(layers: int, width: int, rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    inputs = torch.randint(64, (rows, 16))
    return Encoder(layers, width), inputs, torch.randint(10, (rows,))


def digits(rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    model = samlib.problems.perceptron((64, 128, 128, 10), seed=0, dtype=torch.float32)
    inputs = torch.as_tensor(images[:rows], dtype=torch.float32) / 16
    return model, inputs, torch.as_tensor(labels[:rows])


def images(width: int, rows: int) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    return resnet8(width), torch.randn(rows, 3, 32, 32), torch.randint(10, (rows,))


def problems(device: str) -> list[Problem]:
    """Return the networks; a GPU also gets work that fills it."""
    for_all = [
        Problem("four tensors of 10", *four_tensors(), 100, 20),
        Problem("MLP, 128 rows", *digits(128), 60, 10),
        Problem("MLP, 1797 rows", *digits(1797), 40, 3),
        Problem("transformer, 147 tensors", *tokens(12, 64, 32), 15, 1),
        Problem("ResNet-8, 128 images", *images(16, 128), 9, 1),
    ]
    if device == "cpu":
        return for_all
    return [*for_all, Problem("ResNet-8 of width 64, 1024 images", *images(64, 1024), 9, 3)]
