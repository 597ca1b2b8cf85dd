"""Where kshot keeps what a user has fetched on purpose: it is never thrown away by itself."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """Return kshot's folder among the user's data: ``$KSHOT_DATA``, else ``~/.local/share/kshot``.

    ``$XDG_DATA_HOME`` stands for ``~/.local/share``. The folder need not be there.
    """
    if chosen := os.environ.get("KSHOT_DATA", ""):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_DATA_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".local" / "share") / "kshot"
    except RuntimeError:  # an account without a home
        return Path("kshot-data")
