"""The ledger of labels: what was paid for, by whom, and who is paying just now."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from kshot.atoms import Failure, Fingerprint, Labels, Structure
from kshot.core.errors import InputError
from kshot.labelers.ledger import claims, sessions
from kshot.labelers.ledger.durable import WriteAheadLog
from kshot.labelers.ledger.rows import (
    RESULT_COLUMNS,
    STRUCTURE_COLUMNS,
    Row,
    result_of,
    result_values,
    structure_of,
    structure_values,
)
from kshot.labelers.ledger.schema import connect, explained

_FIND = (
    f"SELECT {RESULT_COLUMNS} FROM structures s JOIN labels l ON l.structure = s.id"
    " WHERE s.key = ? AND l.engine = ?"
)
_ADD_STRUCTURE = f"INSERT INTO structures (key, {STRUCTURE_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"
# Costs add up; a good label is never replaced, a failure is.
_ADD_LABEL = f"""
INSERT INTO labels (structure, engine, {RESULT_COLUMNS}, cost, attempts, made, session)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (structure, engine) DO UPDATE SET
  energy = excluded.energy, forces = excluded.forces, stress = excluded.stress,
  reason = excluded.reason, detail = excluded.detail, cost = cost + excluded.cost,
  attempts = attempts + excluded.attempts, made = excluded.made, session = excluded.session
WHERE reason IS NOT NULL
"""

_ADD_SESSION = """
INSERT OR IGNORE INTO sessions (name, machine, pid, started, opened, renewed, gone, about)
VALUES (?, '', 0, '', ?, ?, ?, ?)
"""


class Ledger:
    """One SQLite file of labels and failures, addressed by structure and fingerprint.

    Several processes of one machine may use one file at once. Each label is committed as it lands
    and survives the death of every process; it is on the disk before anybody gets it
    (`kshot.labelers.ledger.durable` says how). Use it in a ``with`` block, or call `close`.

    Args:
        path: the file; made if it does not exist.
        write: False only reads it.
        session: the session to write in the name of, from another process; None opens its own when
            the first label is claimed.

    Raises:
        InputError: no ledger, another schema version, read-only, or no room.
    """

    def __init__(self, path: str | Path, *, write: bool = True, session: int | None = None) -> None:
        """Open the file."""
        self.path = Path(path)
        self._connection = connect(self.path, write=write)
        self._log = WriteAheadLog(self.path)
        self._lock = threading.RLock()
        self._session = session
        self._renewal: sessions.Renewal | None = None
        self._level: tuple[Fingerprint, int] | None = None  # the one last used, nearly always
        self._ids: dict[str, int] = {}  # row numbers of the structures claimed last
        self._paid: list[tuple[int, int]] = []

    def __enter__(self) -> Ledger:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Let go of all claims and close the file; everything is on the disk."""
        with self._lock:
            if self._renewal is not None:
                self._renewal.end()
                self.release()
                self._renewal = None
            self.sync()
            self._connection.close()

    @property
    def session(self) -> int:
        """The row number of this process's session; it is opened at the first call."""
        with self._lock:
            if self._session is None:
                with explained(self.path):
                    self._session = sessions.open_session(self._connection)
                self._renewal = sessions.Renewal(self.path, self._session)
            return self._session

    def get(self, structure: Structure, fingerprint: Fingerprint) -> Labels | Failure | None:
        """Return what is known of one structure at one level of theory; None if nothing is."""
        return self.lookup([structure], fingerprint)[0]

    def lookup(
        self, structures: Sequence[Structure], fingerprint: Fingerprint
    ) -> list[Labels | Failure | None]:
        """Return what is known of each structure, in order; None where nothing is.

        Whatever is returned is on the disk, even if another process has only just committed it.
        """
        engine = self._known_engine(fingerprint)
        if engine is None:
            return [None] * len(structures)
        find = self._connection.execute
        with self._lock, explained(self.path):
            found = [find(_FIND, (bytes.fromhex(s.key), engine)).fetchone() for s in structures]
        if any(values is not None for values in found):
            self._log.now()
        return [None if values is None else result_of(values, fingerprint) for values in found]

    def put(
        self,
        structure: Structure,
        fingerprint: Fingerprint,
        result: Labels | Failure,
        cost: float,
    ) -> None:
        """Keep one result; a good label already there stays.

        Args:
            structure: what was labelled.
            fingerprint: of the engine; must be that of the labels.
            result: labels or failure.
            cost: CPU seconds paid for it.
        """
        self.put_all([(structure, fingerprint, result, cost)])

    def put_all(
        self, results: Iterable[tuple[Structure, Fingerprint, Labels | Failure, float]]
    ) -> None:
        """Keep several results, all or none: what `put` takes, in one transaction."""
        session, now = self.session, time.time()
        with self.transaction():
            for structure, fingerprint, result, cost in results:
                self._put_row(Row(structure, result, fingerprint, cost, 1, now, "", ""), session)
        self._log.soon()

    def put_row(self, row: Row) -> None:
        """Keep a row of another ledger or file, with whoever paid for it there."""
        with self.transaction():
            about = (row.session, row.made, row.made, row.made, row.about)
            self._connection.execute(_ADD_SESSION, about)
            (session,) = self._connection.execute(
                "SELECT id FROM sessions WHERE name = ?", (row.session,)
            ).fetchone()
            self._put_row(row, session)
        self._log.soon()

    def _put_row(self, row: Row, session: int | None) -> None:
        _must_agree(row)
        engine = self._engine(row.fingerprint)
        structure = self._ids.get(row.structure.key) or self._structure(row.structure)
        values = (*result_values(row.result), row.cost, row.attempts, row.made, session)
        self._connection.execute(_ADD_LABEL, (structure, engine, *values))
        self._paid.append((structure, engine))

    def _structure(self, structure: Structure) -> int:
        """Return the row number of a structure, which is added if need be; in a transaction."""
        key = bytes.fromhex(structure.key)
        find = "SELECT id FROM structures WHERE key = ?"
        row = self._connection.execute(find, (key,)).fetchone()
        if row is not None:
            return row[0]
        added = self._connection.execute(_ADD_STRUCTURE, (key, *structure_values(structure)))
        assert added.lastrowid is not None
        return added.lastrowid

    def claim(
        self, structures: Sequence[Structure], fingerprint: Fingerprint, retry: claims.Retry
    ) -> claims.Claimed:
        """Claim the right to run the engine on structures, so that nobody else does.

        A claim ends when the result is put, when it is released, and when this process ends.

        Args:
            structures: which; no two the same.
            fingerprint: of the engine.
            retry: which stored failures may be run again.
        """
        session = self.session
        with self.transaction():
            engine = self._engine(fingerprint)
            claims.give_back(self._connection, session, self._paid)
            ids = [self._structure(structure) for structure in structures]
            claimed = claims.take(self._connection, session, engine, ids, retry)
        self._paid = []
        self._ids = {structures[place].key: ids[place] for place in claimed.granted}
        return claimed

    def release(self) -> None:
        """Let go of every claim of this session."""
        if self._session is not None:
            with self.transaction():
                claims.give_back_all(self._connection, self._session)

    def sync(self) -> None:
        """Force everything put so far to the disk."""
        self._log.now()

    def sync_soon(self) -> None:
        """Force everything put so far to the disk, unless that was done a moment ago."""
        self._log.soon()

    def fingerprints(self) -> list[Fingerprint]:
        """Return the levels of theory that have rows."""
        with explained(self.path):
            texts = self._connection.execute("SELECT text FROM engines ORDER BY id").fetchall()
        return [Fingerprint.parse(text) for (text,) in texts]

    def rows(self, fingerprint: Fingerprint | None = None) -> Iterator[Row]:
        """Yield every row, or those of one level of theory, in the order they came in."""
        self.sync()
        query = f"""
            SELECT e.text, l.cost, l.attempts, l.made, coalesce(w.name, ''),
              coalesce(w.about, '{{}}'), {RESULT_COLUMNS}, {STRUCTURE_COLUMNS}
            FROM labels l JOIN engines e ON e.id = l.engine JOIN structures s ON s.id = l.structure
            LEFT JOIN sessions w ON w.id = l.session
            WHERE ? IN (e.digest, '') ORDER BY l.id"""
        digest = "" if fingerprint is None else fingerprint.digest
        with explained(self.path):
            for text, cost, attempts, made, session, about, *rest in self._connection.execute(
                query, (digest,)
            ):
                level = Fingerprint.parse(text)
                result = result_of(tuple(rest[:5]), level)
                structure = structure_of(tuple(rest[5:]))
                yield Row(structure, result, level, cost, attempts, made, session, about)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do what is inside as a whole or not at all, alone among all processes."""
        with self._lock, explained(self.path):
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk rolls back by itself
                    self._connection.execute("ROLLBACK")
                self._level = None  # its row may be gone
                raise

    def _engine(self, fingerprint: Fingerprint) -> int:
        """Return the row number of a level of theory, which is added if need be."""
        engine = self._known_engine(fingerprint)
        if engine is None:
            with self._lock, explained(self.path):
                self._connection.execute(
                    "INSERT OR IGNORE INTO engines (digest, text) VALUES (?, ?)",
                    (fingerprint.digest, fingerprint.text),
                )
            engine = self._known_engine(fingerprint)
        assert engine is not None
        return engine

    def _known_engine(self, fingerprint: Fingerprint) -> int | None:
        """Return the row number of a level of theory, or None if it has none."""
        if self._level is not None and self._level[0] is fingerprint:
            return self._level[1]
        with self._lock, explained(self.path):
            row = self._connection.execute(
                "SELECT id FROM engines WHERE digest = ?", (fingerprint.digest,)
            ).fetchone()
        if row is None:
            return None
        self._level = (fingerprint, row[0])
        return row[0]


def _must_agree(row: Row) -> None:
    """Raise InputError where labels are not of the level they are kept under."""
    if isinstance(row.result, Failure):
        return
    mine = row.result.fingerprint
    if mine is not None and mine is not row.fingerprint and mine != row.fingerprint:
        raise InputError(
            f"labels of {row.fingerprint}", f"labels of {mine}", "Levels of theory never mix."
        )
    if row.result.forces.shape != (len(row.structure), 3):
        raise InputError(
            f"forces of shape ({len(row.structure)}, 3)",
            f"{row.result.forces.shape}",
            "The labeler is broken: check it with kshot.testing.check_labeler.",
        )
