"""Is there room for the labels, before the first one is paid for?"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from kshot.atoms import Structure
from kshot.core.errors import InputError

PER_ATOM = 60  # bytes: element, position and force
PER_ROW = 500
LOG = 6  # the write-ahead log holds whole pages of what is being written, besides the ledger itself
SPARE = 8 * 2**20


def require_room(ledger: Path, structures: Collection[Structure]) -> None:
    """Raise InputError unless the ledger's disk has room for labels of these structures."""
    rows = sum(PER_ROW + PER_ATOM * len(structure) for structure in structures)
    need = rows + min(LOG * rows, 64 * 2**20) + SPARE
    free = shutil.disk_usage(ledger.absolute().parent).free
    if free < need:
        raise InputError(
            f"{need / 2**20:.0f} MiB free on the disk of {ledger}",
            f"{free / 2**20:.0f} MiB",
            "Free some space, or put the ledger elsewhere. Nothing was run.",
        )
