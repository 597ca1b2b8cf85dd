"""The meta-trained starts that kshot ships, and where a delta's start may be."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from kshot.core.errors import ModelFileError, UnknownNameError
from kshot.potentials.model_archive import unpack

SUFFIX = ".kshot"
PLAIN = re.compile(r"[\w+-][\w.+-]{0,100}")  # a name that no file can abuse to look elsewhere


def starts() -> dict[str, Path]:
    """Return the files of the shipped starts, by name."""
    folder = Path(str(files("kshot"))) / "starts"
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def start_path(name: str | Path) -> Path:
    """Return the file that is meant: a path, or the name of a shipped start.

    Raises:
        UnknownNameError: neither.
    """
    if Path(name).is_file():
        return Path(name)
    known = starts()
    if str(name) in known:
        return known[str(name)]
    listed = ", ".join(known) or "none"
    what = f"no file and no shipped start is called {str(name)!r}"
    raise UnknownNameError(f"{what}. Known: {listed}.")


def find_start(digest: str, folder: Path, file: str) -> Path | None:
    """Return the file of a model with this digest: ``file`` in ``folder``, or a shipped start."""
    beside = [folder / file] if PLAIN.fullmatch(file) else []
    for path in (*beside, *starts().values()):
        if path.is_file() and digest_of(path) == digest:
            return path
    return None


def digest_of(path: Path) -> str | None:
    """Return the digest that a model file says it has; None if it is no model file."""
    try:
        content, _ = unpack(path)
    except ModelFileError:
        return None
    found = content.get("digest") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None
