"""What the tests of notebooks show in them."""

from __future__ import annotations

# The other figures: a slider that Python is to see, and a trait with a value that the page is to.
OTHERS: dict[str, tuple[str, str, str]] = {
    "ThreeNotions": ("rho", "rho", "0.123"),
    "BasinMap": ("rho", "rho", "0.345"),
    "ExplicitBias": ("approach", "approach", "12.5"),
    "LimitingFlow": ("rho", "lr", "0.0567"),
    "OneLossThreeDestinations": ("turn", "lr", "0.0123"),
    "OppositeDrifts": ("lr", "rho", "0.0321"),
    "RandomDirections": ("dimension", "dimension", "45"),
    "TrainYourself": ("rho", "lr", "0.234"),
    "Rescaling": ("alpha", "alpha", "0.4321"),
    "SpectrumInTraining": ("rho", "step", "2160"),
    "Thermostat": ("norm", "norm", "0.234"),
}

# A network whose loss can be made slow.
EXPLORE = """import time
import torch
from samlib.widgets import explore
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 12), torch.nn.Tanh(), torch.nn.Linear(12, 1))
seconds = 0
def loss(outputs, targets):
    time.sleep(seconds)
    return torch.nn.functional.mse_loss(outputs, targets)
figure = explore(model, loss, (torch.randn(60, 8), torch.randn(60, 1)))
figure"""
