"""Run the library's tests on a wheel of samlib, with the oldest or newest of what it needs.

    python3.11 tests/versions.py oldest
    python3.13 tests/versions.py newest

The Python that runs this makes an environment of its own under .venv-versions/, so that nothing
else is touched. What is tested is the wheel: the tests run in a folder that holds no samlib.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = [
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "hypothesis",
    "playwright",
    "setuptools>=77",
    "nbformat",
]
# what the tests read beside samlib
FILES = ["README.md", "LICENSE", "pyproject.toml", "tests", "book"]


def requirements(which: str) -> list[str]:
    """Return what samlib needs, in the oldest versions that it allows or in any it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    extras = project["optional-dependencies"]
    needed = project["dependencies"] + extras["compiled"] + extras["data"]
    return [re.sub(r">=(.*)", r"==\1.*", one) if which == "oldest" else one for one in needed]


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Run a command and stop with its exit code if it fails."""
    print("+", *command, flush=True)
    code = subprocess.run([str(part) for part in command], cwd=cwd, check=False).returncode
    if code:
        sys.exit(code)


def main() -> None:
    """Set the environment up and run the tests."""
    if len(sys.argv) != 2 or sys.argv[1] not in ("oldest", "newest"):
        sys.exit("which versions? python tests/versions.py oldest | newest")
    which = sys.argv[1]
    place = ROOT / f".venv-versions/{sys.version_info.major}.{sys.version_info.minor}-{which}"
    venv.create(place, with_pip=True, clear=not (place / "pyvenv.cfg").is_file())
    python = place / "bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--upgrade", *requirements(which), *TOOLS)
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder, "build")
        for name in ["samlib", *FILES[:3]]:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            build.mkdir(exist_ok=True)
            copy(ROOT / name, build / name)
        run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, build)
        (wheel,) = Path(folder).glob("*.whl")
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", wheel)
        apart = Path(folder, "apart")
        apart.mkdir()
        for name in FILES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, apart / name)
        run(python, "-m", "pip", "list")
        run(
            python, "-m", "pytest", "-q", "--numprocesses", "auto", "--dist", "loadfile",
            "--ignore", "tests/samlib/test_packaging.py", "tests/samlib", cwd=apart,
        )  # fmt: skip


if __name__ == "__main__":
    main()
