"""Wide arithmetic where a device has it: no float64 on Apple's MPS."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from samlib._precision import wide_dtype
from samlib.optim import grad_scaler


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", torch.float64),
        ("cuda", torch.float64),
        ("cuda:1", torch.float64),
        ("xpu", torch.float64),
        ("meta", torch.float64),
        ("mps", torch.float32),
        ("mps:0", torch.float32),
    ],
)
def test_the_wide_dtype_is_one_that_the_device_has(device: str, expected: torch.dtype) -> None:
    assert wide_dtype(torch.device(device)) == expected


class NoFloat64(TorchDispatchMode):
    """A device that refuses float64, as MPS does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return result


@pytest.mark.parametrize("scale", [1024.0, 2.0**-3])
def test_gradients_are_unscaled_without_float64_where_there_is_none(
    scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Told:
        found_inf = torch.tensor(0.0)
        grad_scale = torch.tensor(scale)

    monkeypatch.setattr(grad_scaler, "wide_dtype", lambda device: wide_dtype(torch.device("mps")))
    gradient = scale * torch.tensor([1.0, -3.0])
    with NoFloat64():
        assert grad_scaler.unscale_as_told(Told(), [gradient])
    assert gradient.tolist() == [1, -3]
