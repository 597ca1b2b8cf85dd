"""Several processes on this machine, each with its engine and a bounded number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from kshot.atoms import Failure, Structure
from kshot.core.errors import InputError
from kshot.labelers.executors.base import PAUSE, Executor, Work, processes
from kshot.labelers.outcome import Outcome
from kshot.labelers.workers import Child, Died, Limits


@dataclass
class _Job:
    """One structure on its way."""

    structure: Structure
    deaths: int = 0


class Pool(Executor):
    """Labels on several processes of this machine.

    A worker keeps its result in the ledger itself, at once, so that not even the death of both
    ends of the pipe loses it. A worker that dies is replaced, and what it was at is tried again;
    a structure that kills one worker after another is set aside. Scripts need no
    ``if __name__ == "__main__"``.

    Args:
        workers: how many processes; None: as many as the cores allow with these threads.
        threads: of each engine.
        seconds: wall time that one label may take; None for no limit.
        memory_mb: memory that one worker may take, in MiB (Linux only); None for no limit.
        attempts: how many workers one structure may kill before it is set aside.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        threads: int = 1,
        seconds: float | None = None,
        memory_mb: float | None = None,
        attempts: int = 3,
    ) -> None:
        """Start nothing yet."""
        self._workers = processes(workers, threads)
        if attempts < 1:
            raise InputError("at least one attempt", f"{attempts}", "3 is usual.")
        self._threads, self._attempts = threads, attempts
        self._limits = Limits(seconds, memory_mb)

    @property
    def workers(self) -> int:
        """How many processes."""
        return self._workers

    def run(
        self, structures: Iterator[Structure | None], work: Work
    ) -> Iterator[tuple[Structure, Outcome]]:
        """Label structures; the processes live as long as there is work."""
        crew = _Crew(self, work, structures)
        try:
            # whoever asks for an end waits for the labels in hand: they are paid for.
            while (not work.stop.is_set() and crew.hand_out()) or crew.busy:
                connections = [child.connection for child in crew.busy]
                wait(connections, PAUSE)
                yield from crew.collect()
            work.check_stop()
        finally:
            crew.dismiss()

    def hire(self, work: Work) -> Child:
        """Start one worker."""
        ledger = work.ledger
        return Child(work.labeler, self._limits, self._threads, ledger.path, ledger.session)

    def tried_enough(self, deaths: int) -> bool:
        """Whether a structure that killed so many workers is set aside."""
        return deaths >= self._attempts


@dataclass
class _Crew:
    """The workers of one run, and what each is at."""

    pool: Pool
    work: Work
    structures: Iterator[Structure | None]
    idle: list[Child] = field(default_factory=list)
    busy: dict[Child, _Job] = field(default_factory=dict)
    again: deque[_Job] = field(default_factory=deque)
    exhausted: bool = False

    def hand_out(self) -> bool:
        """Give work to whoever has none; return whether there may be more to come."""
        while len(self.busy) < self.pool.workers and (job := self._next()) is not None:
            child = self.idle.pop() if self.idle else self.pool.hire(self.work)
            self.busy[child] = job
            child.ask(job.structure)
        return not self.exhausted

    def collect(self) -> Iterator[tuple[Structure, Outcome]]:
        """Take in what has come."""
        for child, job in list(self.busy.items()):
            answer = child.answer()
            if answer is None:
                continue
            del self.busy[child]
            alive = child.process.poll() is None and not _stopped(answer)
            if alive:
                self.idle.append(child)
            else:
                child.end()
            outcome = self._after_death(job, answer) if isinstance(answer, Died) else answer
            if outcome is None:
                continue
            if _stopped(outcome):
                self.work.put(job.structure, outcome)  # its worker could not
            self.work.ledger.sync_soon()
            yield job.structure, outcome

    def dismiss(self) -> None:
        """End every worker."""
        for child in (*self.idle, *self.busy):
            child.end()

    def _next(self) -> _Job | None:
        if self.again:
            return self.again.popleft()
        for structure in self.structures:
            return None if structure is None else _Job(structure)
        self.exhausted = True
        return None

    def _after_death(self, job: _Job, answer: Died) -> Outcome | None:
        """Return what a dead worker left in the ledger, or a failure, or None to try again."""
        if self.work.is_done(job.structure):
            found = self.work.ledger.get(job.structure, self.work.labeler.fingerprint)
            assert found is not None
            return Outcome(found, 0.0)
        job.deaths += 1
        if self.pool.tried_enough(job.deaths):
            words = f"it killed {job.deaths} workers, the last one {answer.how}"
            return Outcome(Failure("set aside", words), 0.0)
        self.again.append(job)
        self.exhausted = False
        return None


def _stopped(answer: Outcome | Died) -> bool:
    """Whether this is the parent's own verdict on a worker that is no more."""
    return isinstance(answer, Outcome) and (
        isinstance(answer.result, Failure)
        and answer.result.reason in ("time", "memory", "set aside")
    )
