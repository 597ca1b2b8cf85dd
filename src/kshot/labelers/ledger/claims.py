"""Who runs the engine on what: two processes that ask for one label pay for it once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kshot.atoms.labels import Reason
from kshot.labelers.ledger.sessions import takeable


@dataclass(frozen=True)
class Retry:
    """Which failures may be run again.

    Args:
        reasons: of which kinds.
        before: those stored before this time (seconds since 1970), so that one run tries once.
    """

    reasons: frozenset[Reason] = frozenset()
    before: float = field(default_factory=time.time)

    def wants(self, reason: str | None, made: float) -> bool:
        """Whether a stored result with this reason (None: a good label) should be run again."""
        return reason in self.reasons and made < self.before


class Claimed(NamedTuple):
    """What came of a wish to label; positions in the list asked with.

    Args:
        granted: run these.
        done: there is a result by now.
        held: somebody else is at it.
    """

    granted: list[int]
    done: list[int]
    held: list[int]


def take(
    connection: sqlite3.Connection, session: int, engine: int, ids: Sequence[int], retry: Retry
) -> Claimed:
    """Claim what is neither done nor held; must run inside a transaction.

    Args:
        connection: to the ledger.
        session: who claims.
        engine: row number of the level of theory.
        ids: row numbers of structures.
        retry: which stored failures count as not done.
    """
    claimed = Claimed([], [], [])
    now = time.time()
    free: dict[int, bool] = {session: True}
    for place, structure in enumerate(ids):
        if _done(connection, engine, structure, retry):
            claimed.done.append(place)
            continue
        row = connection.execute(
            "SELECT session FROM claims WHERE structure = ? AND engine = ?", (structure, engine)
        ).fetchone()
        if row is not None and row[0] not in free:
            free[row[0]] = takeable(connection, row[0], now)
        if row is not None and not free[row[0]]:
            claimed.held.append(place)
            continue
        connection.execute(
            "INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (structure, engine, session)
        )
        claimed.granted.append(place)
    return claimed


def _done(connection: sqlite3.Connection, engine: int, structure: int, retry: Retry) -> bool:
    row = connection.execute(
        "SELECT reason, made FROM labels WHERE structure = ? AND engine = ?", (structure, engine)
    ).fetchone()
    return row is not None and not retry.wants(*row)


def give_back(
    connection: sqlite3.Connection, session: int, paid: Iterable[tuple[int, int]]
) -> None:
    """Drop claims whose results are stored: they say nothing any more."""
    connection.executemany(
        "DELETE FROM claims WHERE structure = ? AND engine = ? AND session = ?",
        [(structure, engine, session) for structure, engine in paid],
    )


def give_back_all(connection: sqlite3.Connection, session: int) -> None:
    """Drop every claim of a session."""
    connection.execute("DELETE FROM claims WHERE session = ?", (session,))
