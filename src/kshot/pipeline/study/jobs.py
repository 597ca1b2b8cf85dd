"""What takes part in a study: a job gives the rows of one draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Labelled
from kshot.pipeline.evaluate import evaluate
from kshot.pipeline.study.frames import Draw
from kshot.potentials.model import Model

ALLOW = ("charges", "multiplicities", "levels")
Row = dict[str, Any]
"""One method, K and test set of one draw, in plain JSON values: errors in eV and eV/Å, and what the
method says of itself."""

Run = Callable[[Model, Draw, tuple[int, ...]], list[Row]]
"""Gives the rows of a draw for some numbers of shots."""


class Job(NamedTuple):
    """A contestant, or several that share their work.

    Args:
        name: of its files.
        model: what is adapted.
        run: what gives the rows of a draw.
        shots: the numbers of labels that it is run for, if asked; all if None.
        draws: how many draws it is run for at most; all if None.
        sources: files that its numbers depend on, besides those of `store.code_digest`.
        options: whatever else its numbers depend on; plain JSON values.
    """

    name: str
    model: Model
    run: Run
    shots: tuple[int, ...] | None = None
    draws: int | None = None
    sources: tuple[Path, ...] = ()
    options: Mapping[str, Any] = {}


def tested(
    model: Model,
    draw: Draw,
    method: str,
    k: int,
    **more: Any,  # noqa: ANN401 - plain JSON values
) -> list[Row]:
    """Return a row for each test set with the errors of an adapted model; nothing is fitted.

    A test set without forces is a scan: what it asks for are differences, so that the error is that
    of energies less their mean, and there is none of forces (NaN).

    Args:
        model: adapted to the first K shots of the draw, and to nothing else.
        draw: whose test sets are asked.
        method: how the tables call it.
        k: labels that it has seen.
        more: what is to stand in each row.
    """
    rows = []
    for name, frames in draw.tests.items():
        errors = evaluate(model, frames, allow=ALLOW)
        scan = is_scan(frames)
        rows.append(
            {
                "method": method,
                "k": k,
                "test": name,
                "energy": errors.energy_rmse_centred_eV if scan else errors.energy_rmse_eV,
                "forces": errors.force_rmse_eV_per_A,
                **more,
            }
        )
    return rows


def is_scan(frames: Sequence[Labelled]) -> bool:
    """Return whether frames have energies only."""
    return all(bool(np.isnan(frame.labels.forces).all()) for frame in frames)
