"""Say which part of each package of samlib its tests have run: `make coverage` calls this."""

from __future__ import annotations

import collections
import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def package(path: str) -> str:
    """Return the package that a module belongs to; modules beside the packages are one."""
    parts = Path(path).parts
    return ".".join(parts[:2] if len(parts) > 2 else parts[:1])


def table(files: dict[str, Any]) -> str:
    """Return a table of the packages: lines of code, those that no test ran, per cent that were."""
    lines: collections.Counter[str] = collections.Counter()
    missed: collections.Counter[str] = collections.Counter()
    for path, found in files.items():
        for name in (package(path), "all"):
            lines[name] += found["summary"]["num_statements"]
            missed[name] += found["summary"]["missing_lines"]
    rows = [f"{'package':24}{'lines':>8}{'missed':>8}{'per cent':>10}"]
    for name in sorted(lines, key=lambda name: (name == "all", name)):
        share = 100 * (1 - missed[name] / max(lines[name], 1))
        rows.append(f"{name:24}{lines[name]:8}{missed[name]:8}{share:10.1f}")
    return "\n".join(rows)


if __name__ == "__main__":
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet"], check=True)
    report = subprocess.run(
        [*coverage, "json", "-o", "-", "--quiet"], check=True, capture_output=True
    )
    print(table(json.loads(report.stdout)["files"]))
