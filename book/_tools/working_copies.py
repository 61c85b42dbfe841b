"""Put notebooks where a reader works in them: working_copies.py FROM TO.

A notebook that the reader has changed, or only run and saved, is the reader's own: it stays as it
is, and the book's newer one is put beside it. What was written is noted in TO/.written.json.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

NOTED = ".written.json"
NEWER = "{} (of the book)"


def digest(path: Path) -> str:
    """Return what tells one content of a file from others."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refresh(source: Path, target: Path) -> list[Path]:
    """Copy notebooks, and return those beside which a newer one had to be put.

    Parameters
    ----------
    source
        The folder of the book's notebooks.
    target
        The reader's folder, made if it is not there.
    """
    target.mkdir(parents=True, exist_ok=True)
    noted = target / NOTED
    written: dict[str, list[str]] = json.loads(noted.read_text("utf8")) if noted.is_file() else {}
    kept = []
    for path in sorted(source.rglob("*.ipynb")):
        name, new = str(path.relative_to(source)), digest(path)
        own, before = target / name, written.setdefault(name, [])
        if before[-1:] == [new] and own.is_file():
            continue
        while own.is_file() and digest(own) not in (new, *before):
            kept.append(own)
            own = own.with_stem(NEWER.format(own.stem))
        own.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, own)
        before.append(new)
        noted.write_text(json.dumps(written, indent=1) + "\n", encoding="utf8")
    return kept


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: working_copies.py FROM TO")
    for changed in refresh(*map(Path, sys.argv[1:])):
        print(f"{changed} is yours and stays; the book's newer one is beside it")
