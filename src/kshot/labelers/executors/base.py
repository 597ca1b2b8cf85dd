"""What every way of running engines keeps to."""

from __future__ import annotations

import abc
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kshot.atoms import Labeler, Structure
from kshot.core.errors import InputError
from kshot.labelers.ledger import Ledger, Retry
from kshot.labelers.outcome import Outcome

PAUSE = 0.05  # seconds between looks at what another process is labelling


@dataclass(frozen=True)
class Work:
    """What an executor is to do.

    Args:
        labeler: the engine.
        ledger: where every result goes, before it is yielded.
        retry: which stored failures count as not done.
        stop: set when the user pressed Ctrl-C.
    """

    labeler: Labeler
    ledger: Ledger
    retry: Retry
    stop: threading.Event

    def put_all(self, done: Sequence[tuple[Structure, Outcome]]) -> None:
        """Keep several results, all in one go."""
        fingerprint = self.labeler.fingerprint
        self.ledger.put_all((s, fingerprint, result, cost) for s, (result, cost) in done)

    def put(self, structure: Structure, outcome: Outcome) -> None:
        """Keep one result."""
        fingerprint = self.labeler.fingerprint
        self.ledger.put(structure, fingerprint, outcome.result, outcome.cost)

    def is_done(self, structure: Structure) -> bool:
        """Whether a result is kept, whatever became of who was at it."""
        return bool(self.ledger.claim([structure], self.labeler.fingerprint, self.retry).done)

    def check_stop(self) -> None:
        """Raise KeyboardInterrupt if the user asked for an end; called where nothing is lost."""
        if self.stop.is_set():
            raise KeyboardInterrupt


def processes(workers: int | None, threads: int) -> int:
    """Return how many processes to start; None: as many as the cores allow with these threads.

    Raises:
        InputError: fewer than one process or thread.
    """
    cores = os.cpu_count() or 1
    number = max(1, cores // max(threads, 1)) if workers is None else workers
    if min(number, threads) < 1:
        raise InputError(
            "at least one worker and one thread",
            f"{workers} and {threads}",
            "Leave them out for what suits this machine.",
        )
    return number


class Executor(abc.ABC):
    """A place where engines run."""

    @property
    @abc.abstractmethod
    def workers(self) -> int:
        """How many labels can be at work at once."""

    @abc.abstractmethod
    def run(
        self, structures: Iterator[Structure | None], work: Work
    ) -> Iterator[tuple[Structure, Outcome]]:
        """Label structures; yield each as soon as its result is in the ledger, in any order.

        Args:
            structures: claimed for this process one by one as they are drawn, so draw no more than
                can be worked on; None means nothing to do just now, ask again soon.
            work: the engine and the ledger.
        """
