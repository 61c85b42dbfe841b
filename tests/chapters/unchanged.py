"""Chapters that passed as they are: a stamp for each, which holds a digest of all it depends on."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAMPS = Path("book/_build/passed")  # `make clean` removes them

# What no cell reads: the JavaScript of the figures, and what Python keeps beside its modules.
UNREAD = {".js", ".ts", ".css", ".pyc", ".nbi", ".nbc"}


def dependencies(chapter: Path, root: Path = ROOT) -> Iterator[Path]:
    """Yield the files that decide what a chapter's cells put out, and whether that is accepted."""
    yield chapter
    yield root / "requirements.txt"
    yield root / "chapters/conftest.py"
    yield from sorted(path for path in (root / "tests/chapters").rglob("*") if path.is_file())
    yield from sorted(path for path in (root / "samlib").rglob("*") if path.is_file())


def digest(chapter: Path, root: Path = ROOT) -> str:
    """Return a digest of what a chapter depends on: files, versions, and settings of samlib."""
    settings = sorted(item for item in os.environ.items() if item[0].startswith("SAMLIB_"))
    found = hashlib.sha256(repr((sys.version, platform.platform(), settings)).encode())
    for path in dependencies(chapter, root):
        if path.suffix not in UNREAD:
            content = path.read_bytes()
            found.update(f"\n{path.relative_to(root)} {len(content)}\n".encode() + content)
    return found.hexdigest()


def stamp(chapter: Path, root: Path = ROOT) -> Path:
    """Return where the digest of a chapter is kept."""
    return root / STAMPS / chapter.with_suffix(".sha256").name


def passed_as_it_is(chapter: Path, root: Path = ROOT) -> bool:
    """Return whether a chapter passed, and nothing that it depends on has changed since."""
    place = stamp(chapter, root)
    return place.is_file() and place.read_text("utf8") == digest(chapter, root)


def keep(chapter: Path, found: str, root: Path = ROOT) -> None:
    """Keep the digest with which a chapter passed."""
    place = stamp(chapter, root)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(found, "utf8")
