"""The test of the demo: frames of another trajectory, labelled by the engine, never fitted to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kshot.atoms import Failure, Labelled, Structure
from kshot.demo.plan import Plan

if TYPE_CHECKING:
    from kshot.pipeline.adapt import Done
    from kshot.pipeline.evaluate import Comparison
    from kshot.potentials.model import Model

SEED = 1  # of the test trajectory; the labels are drawn with another one
SPACING = 50.0  # fs between its frames


def test_frames(
    plan: Plan, structure: Structure, kelvin: float, ledger: Path, say: Callable[[str], None]
) -> list[Labelled]:
    """Return labelled frames of a trajectory of GFN2-xTB, which no start has a hand in.

    Args:
        plan: its engine labels them.
        structure: where the trajectory begins.
        kelvin: its temperature.
        ledger: where the labels are kept, so that a second run does not pay again.
        say: called with what is going on.
    """
    from kshot.families.samplers import samplers
    from kshot.labelers import Ledger, executors, label_all, labeler

    say(f"{plan.test_frames} test frames: a trajectory of GFN2-xTB at {kelvin:g} K")
    frames = samplers.get("langevin")(
        structure,
        labeler("gfn2"),
        plan.test_frames,
        temperature=kelvin,
        seed=SEED,
        trajectories=1,
        spacing=SPACING,
    )
    if isinstance(frames, Failure):
        say(f"no test: {frames.detail}")
        return []
    pool = executors.Pool(os.cpu_count() or 1)
    with Ledger(ledger) as kept:
        labels = label_all(frames, labeler(plan.engine), kept, pool)
    return [
        Labelled(frame, label)
        for frame, label in zip(frames, labels, strict=True)
        if not isinstance(label, Failure)
    ]


def comparison(done: Done, start: Model, test: list[Labelled]) -> Comparison:
    """Return errors of the adapted model, and of its start with energies shifted by the labels."""
    from kshot.fewshot.adapt import adapt
    from kshot.fewshot.adapters.plain import SHIFT
    from kshot.pipeline.evaluate import compare

    shifted = adapt(start, done.labelled, methods=(SHIFT.name,), keep=0.0).model
    return compare({"kshot": done.adapted.model, "start + shift": shifted}, test)
