"""How the chapters are run and compared: without progress bars, and without a network."""

import os
from pathlib import Path

# A slow machine would show bars where a quick one shows none.
os.environ["TQDM_DISABLE"] = "1"

# The kernels import a module from there that refuses every connection but to this machine.
offline = Path(__file__).parents[1] / "tests/chapters/offline"
os.environ["PYTHONPATH"] = os.pathsep.join(
    part for part in (str(offline), os.environ.get("PYTHONPATH")) if part
)
