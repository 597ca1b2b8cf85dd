"""The starts that kshot ships, those that a user has fetched, and where a delta's start may be."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from kshot.core.data_folder import data_folder
from kshot.core.errors import ModelFileError, UnknownNameError
from kshot.potentials.model_archive import unpack

SUFFIX = ".kshot"
GETTABLE = {"so3lr": "kshot.potentials.so3krates.so3lr:fetch"}
"""What `kshot starts get` knows to fetch, and the function that does."""
PLAIN = re.compile(r"[\w+-][\w.+-]{0,100}")  # a name that no file can abuse to look elsewhere


def starts() -> dict[str, Path]:
    """Return the files of all starts that are there, by name: shipped ones, then fetched ones."""
    return fetched() | shipped()


def shipped() -> dict[str, Path]:
    """Return the files of the starts that kshot ships, by name."""
    return _in(Path(str(files("kshot"))) / "starts")


def fetched() -> dict[str, Path]:
    """Return the files of the starts that the user has fetched, by name."""
    return _in(fetched_folder())


def fetched_folder() -> Path:
    """Return where fetched starts are kept."""
    return data_folder() / "starts"


def _in(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def start_path(name: str | Path) -> Path:
    """Return the file that is meant: a path, or the name of a start.

    Raises:
        UnknownNameError: neither.
    """
    if Path(name).is_file():
        return Path(name)
    known = starts()
    if str(name) in known:
        return known[str(name)]
    listed = ", ".join(known) or "none"
    what = f"no file and no start is called {str(name)!r}"
    todo = f" Get it: kshot starts get {name}" if str(name) in GETTABLE else ""
    raise UnknownNameError(f"{what}. Known: {listed}.{todo}")


def find_start(digest: str, folder: Path, file: str) -> Path | None:
    """Return the file of a model with this digest: ``file`` in ``folder``, or a start."""
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
