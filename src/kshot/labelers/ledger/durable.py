"""When what was committed is on the disk, not only in the kernel's memory.

A commit without fsync survives the death of every process (kill -9 included), because its bytes
are the kernel's by then; only a power cut can take it. So labels are committed as they land, which
costs microseconds, and the write-ahead log is forced to the disk now and then (every INTERVAL
seconds, or more seldom where the disk is slow, so that it takes at most 2 % of the time) and always
before a label is handed to anybody. A power cut may cost a second payment for what was labelled in
that interval, and never a label that something used.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

INTERVAL = 0.5  # seconds
PATIENCE = 50.0  # times what the last one took, before the next one
TICK = (
    0.05  # seconds: file times are no finer than the kernel's clock, so younger ones prove little
)


class WriteAheadLog:
    """Forces a ledger's write-ahead log to the disk.

    Args:
        ledger: path of the ledger.
    """

    def __init__(self, ledger: Path) -> None:
        """Know the file; it need not exist."""
        self._path = ledger.with_name(ledger.name + "-wal")
        self._safe: tuple[int, int, int] | None = None
        self._last = self._took = 0.0

    def soon(self) -> None:
        """Force what is there to the disk, if the interval has passed since the last time."""
        if time.monotonic() - self._last >= max(INTERVAL, PATIENCE * self._took):
            self.now()

    def now(self) -> None:
        """Force what is there to the disk: whoever wrote it, this process or another."""
        begun = time.monotonic()
        try:
            fd = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return  # all is in the ledger itself
        try:
            found = os.fstat(fd)
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
            if state != self._safe:
                clock = time.time()
                # SQLite holds no locks on the log, so closing this descriptor drops none.
                os.fsync(fd)
                settled = clock - found.st_mtime > TICK
                self._safe = state if settled else None
        finally:
            os.close(fd)
        self._last = time.monotonic()
        self._took = self._last - begun
