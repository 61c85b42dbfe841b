"""Second derivatives, forwards first, of what networks are made of: equal to double backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from samlib.objective.derivatives import double_backward, reverse_over_forward

N, C, H = 3, 4, 5
MEAN, VARIANCE = torch.linspace(-1, 1, C).double(), torch.linspace(0.5, 2, C).double()
KERNEL = torch.linspace(-1, 1, C * C * 9).double().sin().reshape(C, C, 3, 3)
LABELS = torch.arange(N * H * H).reshape(N, H, H) % C

OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "layer_norm": lambda x: F.layer_norm(x, (H,)),
    "layer_norm, weights": lambda x: F.layer_norm(x, (H, H), x[0, 0], x[0, 1]),
    "instance_norm": F.instance_norm,
    "instance_norm, weights": lambda x: F.instance_norm(x, weight=MEAN, bias=VARIANCE),
    "batch_norm": lambda x: F.batch_norm(x, None, None, MEAN, VARIANCE, training=True),
    "batch_norm, statistics": lambda x: F.batch_norm(x, MEAN, VARIANCE),
    "group_norm": lambda x: F.group_norm(x, 2),
    "rms_norm": lambda x: F.rms_norm(x, (H,)),
    "local_response_norm": lambda x: F.local_response_norm(x, 2),
    "normalize": lambda x: F.normalize(x, dim=1),
    "conv2d": lambda x: F.conv2d(x, KERNEL),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "elu": F.elu,
    "glu": lambda x: F.glu(x, 1),
    "softplus": F.softplus,
    "hardswish": F.hardswish,
    "prelu": lambda x: F.prelu(x, MEAN),
    "cross_entropy": lambda x: F.cross_entropy(x, LABELS),
    "huber_loss": lambda x: F.huber_loss(x, x.detach() + 2),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", OPERATIONS)
def test_products_differentiated_forwards_are_those_of_double_backward(
    name: str, dtype: torch.dtype
) -> None:
    if not hasattr(F, name.split(",")[0]) and name != "attention":
        pytest.skip("this torch has no such function")
    x, v = torch.randn(2, N * C * H * H, generator=torch.Generator().manual_seed(0), dtype=dtype)

    def loss(x: Tensor) -> Tensor:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            y = OPERATIONS[name](x.reshape(N, C, H, H).double()).flatten()
        slopes = torch.arange(len(y)).to(y)
        return (y**3 / 3 + slopes * y).sum().to(dtype)

    forwards, value = reverse_over_forward(loss, x)(v)
    truth, expected = double_backward(loss)(x, v)
    # Sums of hundreds of terms, in float32 of thousands.
    close = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-2}
    torch.testing.assert_close(value, expected, **close)
    torch.testing.assert_close(forwards, truth, **close)
