"""One label after the other, in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kshot.atoms import Structure
from kshot.labelers.executors.base import PAUSE, Executor, Work
from kshot.labelers.outcome import Outcome, run


class Local(Executor):
    """Runs the engine in this process: nothing is quicker for labels of milliseconds.

    The engine may use as many threads as ``OMP_NUM_THREADS`` says. For limits of time and memory,
    wrap the engine: `kshot.labelers.Isolated`.
    """

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def run(
        self, structures: Iterator[Structure | None], work: Work
    ) -> Iterator[tuple[Structure, Outcome]]:
        """Label structures in order."""
        for structure in structures:
            work.check_stop()
            if structure is None:
                time.sleep(PAUSE)
                continue
            outcome = run(work.labeler, structure)
            work.put(structure, outcome)
            yield structure, outcome
        work.check_stop()
