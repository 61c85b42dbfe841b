"""Train the network that the figure Rescaling shows, as chapter 1 does, and write its file.

``python -m samlib.widgets.figures.rescaling.training`` takes some seconds. The weights are stored
in single precision, the digits' pixels as the whole numbers that they are.
"""

from __future__ import annotations

import json
from base64 import b64encode

import numpy as np
import torch
from torch import Tensor

from samlib.datasets import digits
from samlib.objective import Objective
from samlib.widgets.figures.rescaling.model import DATA, OUTPUTS, WHITE, network, squared_error

ROWS, NEW, STEPS, LR, MOMENTUM = 100, 12, 1_200, 0.1, 0.9


def trained(objective: Objective, x: Tensor) -> Tensor:
    """Gradient descent with momentum from x."""
    velocity = torch.zeros_like(x)
    for _ in range(STEPS):
        velocity = MOMENTUM * velocity - LR * objective.gradient(x)
        x = x + velocity
    return x


def written() -> str:
    """The file's text."""
    data = digits(train_rows=ROWS)
    wanted = torch.nn.functional.one_hot(data.targets, OUTPUTS).double()
    torch.manual_seed(0)
    objective = Objective.from_module(network(), squared_error, (data.inputs, wanted))
    weights = trained(objective, objective.flat_parameters())
    shown = torch.cat([data.inputs, data.test_inputs[:NEW]])
    # What was centred becomes whole numbers again: the darkest pixel of each place is 0.
    lowest = torch.cat([data.inputs, data.test_inputs]).amin(dim=0)
    pixels = ((shown - lowest) * WHITE).round().to(torch.uint8).numpy()
    labels = torch.cat([data.targets, data.test_targets[:NEW]]).tolist()
    stored = {
        "weights": b64encode(weights.numpy().astype("<f4").tobytes()).decode("ascii"),
        "pixels": b64encode(np.ascontiguousarray(pixels).tobytes()).decode("ascii"),
        "labels": "".join(map(str, labels)),
        "new": NEW,
    }
    return json.dumps(stored, indent=1) + "\n"


if __name__ == "__main__":
    DATA.write_text(written(), encoding="utf8")
