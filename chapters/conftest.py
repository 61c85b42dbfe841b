"""How the chapters are run and compared: without a network, and without progress bars."""

import os
from pathlib import Path

# The kernels import the module there as they start; it sees to both.
alone = Path(__file__).parents[1] / "tests/chapters/alone"
os.environ["PYTHONPATH"] = os.pathsep.join(
    part for part in (str(alone), os.environ.get("PYTHONPATH")) if part
)
