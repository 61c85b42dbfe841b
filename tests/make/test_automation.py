"""What runs by itself once the book is public: well-formed, and it runs what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_file_that_others_read_has_the_form_that_they_ask_for(schema: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    command += SCHEMAS[schema]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_three_workflows_test_publish_and_keep_watch() -> None:
    assert [path.stem for path in WORKFLOWS] == ["canary", "publish", "test"]


def commands(workflow: Path) -> Iterator[str]:
    """The lines that a workflow hands to the shell."""
    for job in yaml.safe_load(workflow.read_text("utf8"))["jobs"].values():
        for step in job.get("steps", ()):
            yield from step.get("run", "").splitlines()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_runs_is_there(workflow: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf8"), re.MULTILINE)
    named = []
    for program, *arguments in map(str.split, commands(workflow)):
        if program == "make":
            assert set(arguments) <= set(targets)
        elif program in ("python", "bash"):
            assert (ROOT / arguments[0]).is_file()
        else:
            continue
        named.append(program)
    assert named


def test_each_half_of_the_canary_is_a_job_of_its_own() -> None:
    canary = next(path for path in WORKFLOWS if path.stem == "canary")
    run = list(commands(canary))
    assert run == ["python tests/canary.py notebooks", "python tests/canary.py tools", "make links"]
