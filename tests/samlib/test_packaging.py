"""What pip installs is complete, and is the library alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import samlib
from tests.samlib.test_docstrings import python_of

ROOT = Path(__file__).parents[2]
PARTS = ("samlib", "README.md", "LICENSE", "pyproject.toml")


def copy_of_the_library(folder: Path) -> Path:
    """Copy what samlib is built from."""
    folder.mkdir(exist_ok=True)
    for name in PARTS:
        part = ROOT / name
        copy = shutil.copytree if part.is_dir() else shutil.copy
        copy(part, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree, built from a copy: building leaves its traces there."""
    source = copy_of_the_library(tmp_path_factory.mktemp("source"))
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index",
        "--disable-pip-version-check", "--wheel-dir", out, source)  # fmt: skip
    (built,) = out.glob("*.whl")
    return built


def run(*command: str | Path, cwd: Path | None = None) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_library_and_nothing_else(wheel: Path) -> None:
    files = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "samlib").rglob("*")
        if path.suffix == ".py" or path.name == "py.typed" or path.parent.name in ("static", "data")
    }
    assert {"samlib/py.typed", "samlib/widgets/static/samlib-widgets.esm.js"} <= ours
    assert "samlib/widgets/figures/spectrum_in_training/data/training_sweep.json" in ours
    packed = {name for name in files if not name.split("/")[0].endswith(".dist-info")}
    assert packed == ours


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    lines = archive.read(metadata).decode().split("\n")
    assert "License-Expression: MIT" in lines
    needed = {line.split()[1].split(">")[0] for line in lines if line.startswith("Requires-Dist")
              and "extra ==" not in line}  # fmt: skip
    assert needed >= {"torch", "numpy", "pandas", "scipy", "matplotlib", "anywidget", "tqdm"}


def test_the_readmes_first_example_runs_with_what_was_installed(
    wheel: Path, tmp_path: Path
) -> None:
    home = tmp_path / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    paths = ("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    site = Path(run(python, *paths, cwd=tmp_path).strip())
    zipfile.ZipFile(wheel).extractall(site)
    # The heavy dependencies come from this environment. As a path of its own, that comes after
    # the new one; its own .pth files, with a link to the working tree among them, are not read.
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(dependencies)))
    example = tmp_path / "example.py"
    example.write_text(
        python_of(ROOT / "README.md")[0] + "\nprint(samlib.__file__)\n", encoding="utf8"
    )
    printed = run(python, "-X", "utf8", example, cwd=tmp_path).strip().split("\n")
    assert Path(printed[-1]).resolve() == (site / "samlib" / "__init__.py").resolve()
    assert len(printed) > 1, "the example prints what it measured"


def test_one_version_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text("utf8")
    assert samlib.__version__ == project["version"]
    assert f"\nversion: {project['version']}\n" in citation
    assert f"## Version {project['version']}" in (ROOT / "CHANGELOG.md").read_text("utf8")


def test_the_citation_is_well_formed() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))
    required = {"cff-version", "title", "message", "authors", "version", "date-released", "license"}
    assert required <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert all(set(author) & {"name", "family-names"} for author in citation["authors"])


def test_the_source_distribution_holds_what_the_wheel_holds(wheel: Path, tmp_path: Path) -> None:
    source = copy_of_the_library(tmp_path / "source")
    build = "import setuptools.build_meta as b, sys; print(b.build_sdist(sys.argv[1]))"
    name = run(sys.executable, "-c", build, tmp_path, cwd=source).strip().split("\n")[-1]
    with tarfile.open(tmp_path / name) as archive:
        held = {path.split("/", 1)[1] for path in archive.getnames() if "/" in path}
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("samlib/")}
    assert packed <= held
    assert {"README.md", "LICENSE", "pyproject.toml"} <= held
    assert not any(path.startswith(("tests/", "chapters/", "book/")) for path in held)
