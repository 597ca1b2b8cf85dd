"""A log of what an engine really ran, kept apart from the ledger: to count, and to audit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure


class Logged(Labeler):
    """Writes a line before and a line after each run of another labeler.

    Several processes may write to one file. A run that was killed has only the first line.

    Args:
        labeler: the engine.
        path: the log, which grows.
    """

    def __init__(self, labeler: Labeler, path: str | Path) -> None:
        """Write nothing yet."""
        self._labeler, self._path = labeler, Path(path)

    @property
    def fingerprint(self) -> Fingerprint:
        """That of the engine."""
        return self._labeler.fingerprint

    def label(self, structure: Structure) -> Labels | Failure:
        """Return what the engine says."""
        self._write(f"begin {structure.key} {os.getpid()}\n")
        result = self._labeler.label(structure)
        self._write(f"end {structure.key} {os.getpid()}\n")
        return result

    def _write(self, line: str) -> None:
        # One write to a file opened for appending is never torn, and outlives the process.
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)


class Runs(NamedTuple):
    """What a log counts, by structure key.

    Args:
        begun: runs that began.
        ended: runs that came to their end.
    """

    begun: dict[str, int]
    ended: dict[str, int]


def runs(path: str | Path) -> Runs:
    """Return the counts of a log; of none, if there is no file."""
    counts = Runs({}, {})
    if not Path(path).exists():
        return counts
    for line in Path(path).read_text().splitlines():
        event, key, _ = line.split()
        table = counts.begun if event == "begin" else counts.ended
        table[key] = table.get(key, 0) + 1
    return counts
