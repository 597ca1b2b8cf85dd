"""What ``kshot adapt`` is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kshot.atoms.spin import NOTHING_STATED, Stated
from kshot.fewshot.methods import USUAL


class Request(NamedTuple):
    """What is asked for; see the options of ``kshot adapt``."""

    start: str
    input: Path
    out: Path
    budget: int | None = None
    engine: str = "gfn2"
    temperature: float = 300.0
    methods: tuple[str, ...] = USUAL
    keep: float = 1.0
    seed: int = 0
    whole: bool = False
    allow: tuple[str, ...] = ()
    workers: int | None = None
    stated: Stated = NOTHING_STATED
    force: bool = False

    @property
    def labels(self) -> Path:
        """Where all labelled frames are written, beside the adapted file."""
        return self.out.with_suffix(".labels.extxyz")

    @property
    def ledger(self) -> Path:
        """Where labels that are paid for are kept, beside the adapted file."""
        return self.out.with_suffix(".ledger")
