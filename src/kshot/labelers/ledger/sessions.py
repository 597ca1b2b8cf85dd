"""Who works on a ledger, and whether they still live: what a claim is worth.

A claim holds while its session lives. On one machine the operating system says so at once: a
process number with the time that process started. Where it cannot say (another container on the
same disk), a lease does, which a thread of the session renews.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import threading
import time
import uuid
from pathlib import Path

from kshot import __version__
from kshot.labelers.ledger.schema import connect

LEASE = 120.0  # seconds without a renewal after which a session that cannot be asked is gone
RENEWAL = 30.0
GRACE = 1.0  # seconds that the workers of a killed session have to notice and end


def machine() -> str:
    """Return what tells apart the worlds in which a process number means one process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


def started(pid: int) -> str:
    """Return when a process started, in the system's own ticks; empty if it cannot be known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name in brackets may hold spaces and brackets; the 20th field after it is the start. A
    # zombie has ended: it only waits for its parent to ask how.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def open_session(connection: sqlite3.Connection) -> int:
    """Enter this process into the ledger and return the session's row number."""
    now, pid = time.time(), os.getpid()
    about = {
        "host": platform.node(),
        "command": " ".join(sys.argv)[:500],
        "kshot": __version__,
        "python": platform.python_version(),
    }
    cursor = connection.execute(
        "INSERT INTO sessions (name, machine, pid, started, opened, renewed, about)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (uuid.uuid4().hex, machine(), pid, started(pid), now, now, json.dumps(about)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def takeable(connection: sqlite3.Connection, session: int, now: float) -> bool:
    """Whether a session's claims may be taken over: it is gone, and its workers with it.

    Must run inside a transaction: it notes when the session was first found gone.
    """
    row = connection.execute(
        "SELECT machine, pid, started, renewed, gone FROM sessions WHERE id = ?", (session,)
    ).fetchone()
    if row is None:
        return True
    where, pid, began, renewed, gone = row
    if _alive(where, pid, began, renewed, now):
        return False
    if gone is None:
        connection.execute("UPDATE sessions SET gone = ? WHERE id = ?", (now, session))
        return False
    return now - gone > GRACE


def _alive(where: str, pid: int, began: str, renewed: float, now: float) -> bool:
    if where == machine() and began:
        return started(pid) == began
    return now - renewed < LEASE


class Renewal:
    """A thread that renews a session's lease, for those who cannot see its process."""

    def __init__(self, path: Path, session: int) -> None:
        """Start renewing."""
        self._path, self._session = path, session
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="kshot ledger lease")
        self._thread.start()

    def end(self) -> None:
        """Stop renewing."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(RENEWAL):
            try:
                self._renew()
            except Exception as error:  # noqa: BLE001 - a missed renewal costs nothing yet
                print(f"kshot: ledger lease not renewed: {error}", file=sys.stderr)  # noqa: T201

    def _renew(self) -> None:
        connection = connect(self._path, write=True)
        try:
            connection.execute(
                "UPDATE sessions SET renewed = ? WHERE id = ?", (time.time(), self._session)
            )
        finally:
            connection.close()
