"""One label after the other, in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kshot.atoms import Structure
from kshot.labelers.executors.base import PAUSE, Executor, Work
from kshot.labelers.outcome import Outcome, run

IN_HAND = 0.05  # seconds of work that kill -9 may cost: what is done in it is kept in one go


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
        hand = _Hand(work)
        try:
            for structure in structures:
                work.check_stop()
                if structure is not None:
                    hand.label(structure)
                    if hand.has_room():
                        continue
                yield from hand.emptied()
                if structure is None:
                    time.sleep(PAUSE)
            yield from hand.emptied()
        finally:
            hand.emptied()
        work.check_stop()


class _Hand:
    """What is labelled and not yet in the ledger: of slow engines nothing.

    After an engine has run, all that the ledger needs has left the processor's caches: to keep
    twenty quick labels takes hardly longer than to keep one.
    """

    def __init__(self, work: Work) -> None:
        self._work, self._since = work, 0.0
        self._done: list[tuple[Structure, Outcome]] = []

    def label(self, structure: Structure) -> None:
        """Run the engine once."""
        if not self._done:
            self._since = time.monotonic()
        self._done.append((structure, run(self._work.labeler, structure)))

    def has_room(self) -> bool:
        """Whether there is so little in it that the next run may come first."""
        return time.monotonic() - self._since < IN_HAND

    def emptied(self) -> list[tuple[Structure, Outcome]]:
        """Keep everything, and return it."""
        done, self._done = self._done, []
        if done:
            self._work.put_all(done)
        return done
