"""Rows out of a ledger and into it: files of labels, and other ledgers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labelled, Labels
from kshot.atoms.files import read_labelled, write
from kshot.core.errors import InputError
from kshot.core.manifest import sha256
from kshot.labelers.ledger.rows import Row
from kshot.labelers.ledger.store import Ledger

BATCH = 500  # rows in one transaction
SAME_ENERGY = 1e-6  # eV: what one engine gives twice on different machines
SAME_FORCE = 1e-5  # eV/Å


class Added(NamedTuple):
    """What came of adding rows.

    Args:
        new: rows that were not there, or only as failures.
        known: rows that were there already.
        different: of those, labels that disagree with what was there, which is kept.
    """

    new: int
    known: int
    different: int


def choose(ledger: Ledger, wanted: str) -> Fingerprint | None:
    """Return the level of theory that ``wanted`` begins the digest of, or is the method of.

    Args:
        ledger: where to look.
        wanted: first characters of a digest, or a method's name; empty for all levels (None).

    Raises:
        InputError: none fits, or more than one.
    """
    if not wanted:
        return None
    levels = ledger.fingerprints()
    fitting = [
        level
        for level in levels
        if level.digest.startswith(wanted) or level.method.lower() == wanted.lower()
    ]
    if len(fitting) == 1:
        return fitting[0]
    known = "; ".join(f"{level.digest}: {level}" for level in levels) or "none"
    raise InputError(f"one level of theory {wanted!r}", f"{len(fitting)} of {known}", "Choose one.")


def export(ledger: Ledger, path: Path, fingerprint: Fingerprint | None = None) -> int:
    """Write good labels to extxyz, an ASE database or HDF5, and return how many.

    Args:
        ledger: where they are.
        path: what to write; its ending says how.
        fingerprint: of which level of theory; None only where the ledger has just one.

    Raises:
        InputError: there are several levels of theory, or nothing to write.
    """
    levels = ledger.fingerprints()
    if fingerprint is None and len(levels) > 1:
        known = "; ".join(f"{level.digest}: {level}" for level in levels)
        raise InputError("one level of theory", known, "Choose one: levels never mix in a file.")
    if not levels:
        raise InputError("a ledger with labels", f"{ledger.path}, which has none", "Label first.")
    good = (
        Labelled(row.structure, row.result)
        for row in ledger.rows(fingerprint)
        if isinstance(row.result, Labels)
    )
    return write(path, good)


def import_file(ledger: Ledger, path: Path, stated: Fingerprint | None = None) -> Added:
    """Add the labels of a file.

    Args:
        ledger: where to.
        path: any file that `kshot.atoms.files.read_labelled` reads.
        stated: level of theory of frames that do not say theirs.

    Raises:
        InputError: a frame says no level of theory and none was stated.
    """
    return _add(ledger, _rows_of(path, stated))


def merge(into: Ledger, other: Ledger) -> Added:
    """Add every row of another ledger; a good label wins over a failure, and stays if there."""
    return _add(into, other.rows())


def _rows_of(path: Path, stated: Fingerprint | None) -> Iterator[Row]:
    if not path.is_file():
        raise InputError("a file of labels", f"{path}, which is none", "Check its name.")
    made, digest = path.stat().st_mtime, sha256(path)
    about = json.dumps({"imported": path.name, "sha256": digest})
    for number, (structure, labels) in enumerate(read_labelled(path)):
        level = labels.fingerprint or stated
        if level is None:
            raise InputError(
                "frames that say their level of theory",
                f"{path}, frame {number}, which has no fingerprint",
                "State it: --program, --method and --basis.",
            )
        labelled = Labels(labels.energy, labels.forces, labels.stress, level)
        yield Row(structure, labelled, level, 0.0, 1, made, f"import {digest[:12]}", about)


def _add(ledger: Ledger, rows: Iterator[Row]) -> Added:
    total = np.zeros(3, int)
    while batch := list(islice(rows, BATCH)):
        with ledger.transaction():
            fresh = [row for row in batch if _is_news(ledger, row, total)]
            for row in fresh:
                ledger.put_row(row)
    ledger.sync()
    return Added(*total.tolist())


def _is_news(ledger: Ledger, row: Row, total: np.ndarray) -> bool:
    known = ledger.get(row.structure, row.fingerprint)
    news = known is None or (isinstance(known, Failure) and isinstance(row.result, Labels))
    different = not news and differ(known, row.result)
    total += (news, not news, different)
    return news


def differ(one: Labels | Failure | None, other: Labels | Failure | None) -> bool:
    """Whether two results say different things; two failures, or one and a label, do not."""
    if not (isinstance(one, Labels) and isinstance(other, Labels)):
        return False
    force = float(np.abs(one.forces - other.forces).max(initial=0.0))
    return abs(one.energy - other.energy) > SAME_ENERGY or force > SAME_FORCE
