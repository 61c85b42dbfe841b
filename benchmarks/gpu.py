"""The benchmarks of a SAM step and of curvature on a GPU, if there is one: `python gpu.py`.

Float32 as torch computes it by default: matrix products in full precision, convolutions with TF32.
The accuracy of a residual network's eigenvalues is measured with full precision in both.
"""

from __future__ import annotations

import curvature
import optim
import torch


def main() -> None:
    if not torch.cuda.is_available():
        print("no CUDA device here")
        return
    optim.main("cuda")
    torch.backends.cudnn.allow_tf32 = False
    curvature.main("cuda")


if __name__ == "__main__":
    main()
