"""What ``kshot adapt`` is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kshot.atoms.spin import NOTHING_STATED, Stated
from kshot.fewshot.adapters import named, slow, usual
from kshot.fewshot.jacobian import MEMORY
from kshot.potentials.model import Model


class Request(NamedTuple):
    """What is asked for; see the options of ``kshot adapt``.

    No ``methods`` stand for the usual ones of the start; ``thorough`` adds those that take minutes;
    ``memory`` is in bytes.
    """

    start: str
    input: Path
    out: Path
    budget: int | None = None
    engine: str = "gfn2"
    temperature: float = 300.0
    methods: tuple[str, ...] = ()
    thorough: bool = False
    keep: float = 1.0
    seed: int = 0
    whole: bool = False
    allow: tuple[str, ...] = ()
    workers: int | None = None
    stated: Stated = NOTHING_STATED
    force: bool = False
    memory: float = MEMORY

    def fewest(self, start: Model) -> int:
        """Return how many labels the methods need that compete for a start."""
        return max(adapter.fewest for adapter in named(self.competing(start)))

    def competing(self, start: Model) -> tuple[str, ...]:
        """Return the names of the methods that compete for a start."""
        names = self.methods or usual(start)
        return tuple(dict.fromkeys([*names, *(slow() if self.thorough else ())]))

    @property
    def labels(self) -> Path:
        """Where all labelled frames are written, beside the adapted file."""
        return self.out.with_suffix(".labels.extxyz")

    @property
    def ledger(self) -> Path:
        """Where labels that are paid for are kept, beside the adapted file."""
        return self.out.with_suffix(".ledger")
