"""Try the book with the newest versions of what it uses, and say which half broke.

    python tests/canary.py notebooks   chapters and library with the newest of what samlib imports
    python tests/canary.py tools       the build with the newest of what builds and checks it

Each makes an environment of its own under .venv-versions/. In the first, what Jupyter runs the
chapters with comes along; outputs are not compared, since another version may round otherwise, but
every claim is checked. In the second, what the chapters import stays as it is pinned.
"""

from __future__ import annotations

import re
import sys
import tomllib
import venv
from pathlib import Path

from versions import ROOT, TOOLS, requirements, run

# Pinned in the second half: what the chapters import and compute with.
COMPUTED_WITH = (
    "numpy",
    "scipy",
    "torch",
    "pandas",
    "matplotlib",
    "numba",
    "scikit-learn",
    "mnist1d",
)
# What Jupyter Book 1 holds on to itself; its own successor reads another configuration.
BOOK = "jupyter-book<2"


def environment(name: str) -> Path:
    """Make an environment anew and return its Python."""
    place = ROOT / f".venv-versions/canary-{name}"
    venv.create(place, with_pip=True, clear=True)
    return place / "bin/python"


def pins(names: tuple[str, ...]) -> list[str]:
    """Return the pinned requirements of some packages."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines()
    return [line for line in lines if line.split("==")[0] in names]


def tools() -> list[str]:
    """Return the tools that build the book, without their pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    extras = project["optional-dependencies"]
    named = [re.split(r"[=<>\[]", one)[0] for one in extras["book"]]
    return [BOOK if one == "jupyter-book" else one for one in named if one != "samlib"]


def try_notebooks() -> None:
    """Run the chapters and the library's tests with the newest of what they import."""
    python = environment("notebooks")
    needed = [*requirements("newest"), "myst-nb", "jupyterlab", "nbval", *TOOLS]
    run(python, "-m", "pip", "install", "--quiet", *needed)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", ".")
    run(python, "-m", "pip", "list")
    pytest = [python, "-m", "pytest", "--numprocesses", "auto", "--dist", "loadfile"]
    run(*pytest, "--nbval-lax", "chapters")
    run(*pytest, "--ignore", "tests/samlib/test_packaging.py", "tests/samlib")


def try_tools() -> None:
    """Build the book and check its code with the newest tools."""
    python = environment("tools")
    needed = [*pins(COMPUTED_WITH), *requirements("newest"), "myst-nb", *tools(), "ruff", "mypy"]
    run(python, "-m", "pip", "install", "--quiet", *needed, "pandas-stubs", "types-tqdm")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", ".")
    run(python, "-m", "pip", "list")
    run(
        python.with_name("jupyter-book"), "build", ".", "--toc", "book/_toc.yml", "--config",
        "_config.yml", "--path-output", ".venv-versions/canary-book", "-W", "--keep-going", "-n",
    )  # fmt: skip
    run(python, "-m", "ruff", "check", ".")
    run(python, "-m", "mypy", "--strict", "-p", "samlib")


HALVES = {"notebooks": try_notebooks, "tools": try_tools}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in HALVES:
        sys.exit("which half? python tests/canary.py notebooks | tools")
    HALVES[sys.argv[1]]()
