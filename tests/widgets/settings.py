"""States of the figures that several tests look at."""

from __future__ import annotations

from typing import Any

ONE_LOSS: list[dict[str, Any]] = [
    {},
    {"lr": 0.02, "rho": 0.05, "seed": 7},
    {"start": (0.9, -0.7, -0.15, 0.05), "lr": 0.005, "rho": 0.1, "seed": 2**31 - 1},
    {"start": (-0.6, 0.1, 0.03, 0.08), "rho": 0.0},
]

# Batches of about 3 to 10 amplify rounding, as a test says: they are compared at first.
OPPOSITE_DRIFTS: dict[str, dict[str, Any]] = {
    "as it opens": {},
    "batches of three": {"batch_size": 3, "seed": 5, "steps": 4000},
    "batches of 32": {"batch_size": 32, "seed": 2**31 - 1, "rho": 0.03, "steps": 9000},
    "elsewhere": {"start": (-1.2, -0.3, 0.4), "lr": 0.11, "rho": 0.2, "seed": 0, "steps": 9000},
    "batches of six": {"batch_size": 6, "seed": 9, "start": (0.7, 0.2, 0.1), "steps": 300},
    "batches of one": {"batch_size": 1, "seed": 123456789, "lr": 0.2, "steps": 2000},
    "ρ = 0": {"rho": 0.0, "batch_size": 2, "steps": 2000},
}

# Batches of 2 to 4 amplify rounding, as a test says: their first steps are compared. The full batch
# does so for some networks at ρ > η, on its way to the first two-cycle.
LIMITING_FLOW: dict[str, dict[str, Any]] = {
    "as it opens": {},
    "another network": {"network": 3, "rho": 0.1, "lr": 0.05, "time": 3.0},
    "large steps": {"network": 2**31 - 1, "rho": 0.3, "lr": 0.5, "time": 6.0},
    "1-SAM": {"batch_size": 1, "seed": 5, "time": 2.0},
    "1-SAM, large steps": {"batch_size": 1, "network": 3, "rho": 0.3, "lr": 0.3, "seed": 2**31 - 1},
    "batches of two": {"batch_size": 2, "seed": 3, "time": 0.05},
    "batches of three": {"batch_size": 3, "seed": 0, "network": 1, "time": 0.05},
    "batches of four": {"batch_size": 4, "seed": 11, "rho": 0.2, "time": 0.2},
    "fewer steps than checkpoints": {"rho": 0.4, "lr": 0.7, "time": 2.0},
}

# (x₁, x₂), and degrees
POINTS_OF_GAMMA = [
    (0.5, 0.5), (0.0, 0.0), (1.0, 1.0), (0.8, 1 / 7), (-0.4, 0.2), (-0.5, -0.5), (1.25, 1.25),
]  # fmt: skip
SIDES = [0.0, 20.0, 75.0, 90.0]

LOSSES = ("bowl", "ravine", "curved valley", "saddle")
# loss, x, ρ: as the figure opens, and elsewhere, minimizers, the saddle itself and far out included
THREE_NOTIONS: list[tuple[str, dict[str, Any]]] = [
    *((loss, {}) for loss in LOSSES),
    ("bowl", {"point": (0, 0), "rho": 1.5}),
    ("ravine", {"point": (-3.1, 0.02), "rho": 0.07}),
    ("curved valley", {"point": (1, 0.5), "rho": 1.1}),
    ("curved valley", {"point": (-1.7, 2.9), "rho": 0.8}),
    ("saddle", {"point": (0, 0), "rho": 0.9}),
    ("saddle", {"point": (0.9, -1.2), "rho": 2.5}),
]

# Where no cycle attracts, or parts are all but zero, rounding is amplified:
# the first steps are compared.
THERMOSTAT: dict[str, dict[str, Any]] = {
    "as it opens": {"steps": 400},
    "a tie": {"eigenvalues": (1.8, 1.8, 0.6, 0.25)},
    "large steps": {"eigenvalues": (3.4, 1.8, 0.6, 0.25)},
    "a saddle that holds": {"eigenvalues": (1.2, 0.6, 0.25, -0.9), "norm": 0.07},
    "a saddle that is left": {"eigenvalues": (-0.3, 0.6, 1.2, 0.25), "norm": 3.0},
    "diverging": {"eigenvalues": (4.4, 1.8, 0.6, -2.4), "steps": 300},
    "ρ = 0": {"rho": 0.0, "steps": 300},
    "other steps": {"lr": 0.03, "rho": 1.3, "start": (-2.0, 0.0, 1e-9, 10.0), "steps": 2000},
    "without a gradient": {"eigenvalues": (1.0, 0.0, 0.0, 0.0), "start": (0.0, 1.0, 2.0, 3.0)},
}

ALPHAS = (0.03, 0.05, 0.4, 1.0, 1.7, 6.0, 30.0)
