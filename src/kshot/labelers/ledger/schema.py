"""The ledger's one file: its tables, how it is opened, and what its errors mean to a user."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kshot.core.errors import InputError

APPLICATION = 0x6B73686C  # "kshl": what `file` and SQLite know a ledger by
SCHEMA = 1
PATIENCE = 60.0  # seconds to wait for another process's transaction, which takes microseconds
CHECKPOINT = 10_000  # pages: folding the WAL into the file costs two fsyncs, so do it seldom

TABLES = f"""
CREATE TABLE engines (
  id INTEGER PRIMARY KEY, digest TEXT UNIQUE NOT NULL, text TEXT NOT NULL);
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, machine TEXT NOT NULL, pid INTEGER NOT NULL,
  started TEXT NOT NULL, opened REAL NOT NULL, renewed REAL NOT NULL, gone REAL,
  about TEXT NOT NULL);
CREATE TABLE structures (
  id INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, numbers BLOB NOT NULL, positions BLOB NOT NULL,
  charge INTEGER NOT NULL, multiplicity INTEGER NOT NULL, cell BLOB, pbc INTEGER NOT NULL,
  family TEXT NOT NULL, info TEXT NOT NULL);
CREATE TABLE labels (
  id INTEGER PRIMARY KEY,
  structure INTEGER NOT NULL REFERENCES structures, engine INTEGER NOT NULL REFERENCES engines,
  status TEXT GENERATED ALWAYS AS (CASE WHEN reason IS NULL THEN 'ok' ELSE 'failed' END) VIRTUAL,
  energy REAL, forces BLOB, stress BLOB, reason TEXT, detail TEXT,
  cost REAL NOT NULL, attempts INTEGER NOT NULL, made REAL NOT NULL,
  session INTEGER REFERENCES sessions,
  UNIQUE (structure, engine));
CREATE TABLE claims (
  structure INTEGER NOT NULL, engine INTEGER NOT NULL, session INTEGER NOT NULL,
  PRIMARY KEY (structure, engine)) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {SCHEMA};
"""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says into what a user can act on."""
    try:
        yield
    except sqlite3.Error as error:
        raise _in_words(path, error) from error


def _in_words(path: Path, error: sqlite3.Error) -> InputError:
    said = f"{path}: {error}"
    table = (
        ("full", "room on the ledger's disk", "Free some space and run the same command again"),
        ("readonly", "a ledger that can be written", "Give write permission to it and its folder"),
        ("unable to open", "a ledger that can be opened", "Its folder must exist and be writable"),
        ("not a database", "a kshot ledger", "Name another file; this one is left as it is"),
        ("locked", "a ledger whose lock comes free", "Another process holds it; wait or end it"),
        ("malformed", "a sound ledger", "Save its rows with: kshot ledger merge NEW DAMAGED"),
    )
    for mark, expected, todo in table:
        if mark in str(error):
            return InputError(expected, said, f"{todo}. What was finished is kept.")
    return InputError("a working ledger", said, "Check its disk. What was finished is kept.")


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Return a connection to the ledger at ``path``; with ``write``, make the file if need be.

    Raises:
        InputError: it is no ledger, of another schema version, read-only, or missing.
    """
    with explained(path):
        connection = _writable(path) if write else _readable(path)
        try:
            _check_schema(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _writable(path: Path) -> sqlite3.Connection:
    # root may write to read-only files; whoever took the permission away meant it all the same.
    if path.exists() and not path.stat().st_mode & 0o222:
        raise sqlite3.OperationalError("the file is readonly")
    connection = _open(path, f"{path.absolute().as_uri()}?mode=rwc")
    try:
        if not _pragma(connection, "user_version") and not _tables(connection):
            _create(connection)
        connection.execute("PRAGMA synchronous = NORMAL")  # and fsync by hand: see Ledger.sync
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    except BaseException:
        connection.close()
        raise
    return connection


def _readable(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise InputError("a ledger", f"no file {path}", "Make one with: kshot label … --ledger")
    uri = path.absolute().as_uri()
    connection = _open(path, f"{uri}?mode=ro")
    try:
        _pragma(connection, "user_version")
        _tables(connection)
    except sqlite3.OperationalError:
        # A folder that cannot be written has no room for the WAL's index: then nobody else writes.
        connection.close()
        connection = _open(path, f"{uri}?immutable=1")
    return connection


def _open(path: Path, uri: str) -> sqlite3.Connection:
    del path
    return sqlite3.connect(
        uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables, unless another process just did."""
    _to_wal(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _tables(connection):
            for statement in TABLES.split(";\n"):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _to_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging: SQLite's patience does not cover this one statement."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != APPLICATION:
        raise InputError(
            "a kshot ledger", f"{path}, another program's SQLite file", "Name another file."
        )
    if (found := _pragma(connection, "user_version")) != SCHEMA:
        raise InputError(
            f"a ledger of schema version {SCHEMA}",
            f"{path} of version {found}",
            "Export it with the kshot that wrote it (kshot ledger export), then import the file.",
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
