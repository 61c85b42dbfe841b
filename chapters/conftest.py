"""How the chapters are run and compared: without a network, and without progress bars."""

import os
from pathlib import Path


def pytest_collection_modifyitems() -> None:
    """Have the kernels import the module in that folder as they start; it sees to both.

    pytest calls this in the processes that run tests. One that only hands them out must keep its
    environment: the others inherit it, and would themselves be kept from bars and network.
    """
    alone = Path(__file__).parents[1] / "tests/chapters/alone"
    os.environ["PYTHONPATH"] = os.pathsep.join(
        part for part in (str(alone), os.environ.get("PYTHONPATH")) if part
    )
