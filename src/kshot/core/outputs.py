"""Where results may be written: never onto what they are made from, nor silently onto old ones."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kshot.core.errors import OutputError


def claim_outputs(
    outputs: Iterable[Path], *, inputs: Iterable[Path] = (), force: bool = False
) -> None:
    """Raise unless files may be written; call it before anything costly, it writes nothing.

    Args:
        outputs: what is to be written, in one run.
        inputs: what the outputs are made from or need later, and what else must stay: data, starts,
            ledgers. An output is never one of them, however it is spelled or linked.
        force: whether files that are there may be replaced.

    Raises:
        OutputError: an output is an input, another output, there already, or no plain file.
    """
    taken = [(path, "is read or needed by this command") for path in inputs]
    for output in outputs:
        for path, why in taken:
            if _same(output, path):
                raise OutputError("an output of its own", f"{output}, which {why}", "Name another.")
        _require_free(output, force=force)
        taken.append((output, "is another output of this command"))


def _require_free(output: Path, *, force: bool) -> None:
    if not output.exists():
        return
    if not output.is_file():
        raise OutputError("a file to write", f"{output}, which is no plain file", "Name another.")
    if not force:
        todo = "Name another, or add --force (in Python: force=True) to replace it."
        raise OutputError("a new name for the output", f"{output}, which exists", todo)


def _same(one: Path, other: Path) -> bool:
    """Whether two names are of one file, hard links included, or would be once it is written."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    return one.exists() and other.exists() and one.samefile(other)
