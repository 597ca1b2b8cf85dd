"""Label many structures, each once, whatever happens on the way."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence

from kshot.atoms import Failure, Labeler, Labels, Structure, check_structure
from kshot.atoms.labels import Reason
from kshot.core.bars import Advance, bar
from kshot.core.errors import InputError
from kshot.labelers.executors import Executor, Local, Work
from kshot.labelers.interrupts import deferred
from kshot.labelers.ledger import Ledger, Retry
from kshot.labelers.room import require_room

MOST_CLAIMED = 256
CLAIM_AHEAD = 0.5  # seconds of work claimed at once: what another process may have to wait for
BETWEEN_WORDS = 0.1  # seconds


def label_all(
    structures: Sequence[Structure],
    labeler: Labeler,
    ledger: Ledger,
    executor: Executor | None = None,
    *,
    retry: Collection[Reason] = (),
    progress: bool = True,
) -> list[Labels | Failure]:
    """Return labels or failures of structures, in order; pay only for what the ledger lacks.

    Each result is in the ledger at once (of engines that take milliseconds, those of a twentieth of
    a second together): after Ctrl-C, kill -9 or a power cut the same call goes on where it ended.
    Another process may label into the same ledger at the same time; what it is at is waited for,
    not run again.

    Args:
        structures: what to label; the same structure may stand there twice and is run once.
        labeler: the engine.
        ledger: where results are kept.
        executor: where the engine runs; None: `kshot.labelers.executors.Local`.
        retry: reasons of stored failures that are to be tried again, such as ``("time",)``.
        progress: False shows nothing.

    Raises:
        InputError: the ledger cannot be written, or the engine found fault with its caller.
        KeyboardInterrupt: after Ctrl-C; what was finished is in the ledger.
    """
    executor = Local() if executor is None else executor
    wanted = Retry(frozenset(retry))
    known = ledger.lookup(structures, labeler.fingerprint)
    todo = {
        structure.key: structure
        for structure, result in zip(structures, known, strict=True)
        if result is None or (isinstance(result, Failure) and result.reason in wanted.reasons)
    }
    if todo:
        require_room(ledger.path, todo.values())
        with (
            bar(f"labelling with {labeler.fingerprint}", len(todo), show=progress) as advance,
            deferred() as stop,
        ):
            work = Work(labeler, ledger, wanted, stop)
            landed = _Run(work, executor, list(todo.values()), advance).go()
        elsewhere = [structure for key, structure in todo.items() if key not in landed]
        found = ledger.lookup(elsewhere, labeler.fingerprint)
        landed |= {s.key: _there(result) for s, result in zip(elsewhere, found, strict=True)}
        known = [landed.get(s.key, old) for s, old in zip(structures, known, strict=True)]
    return [_there(result) for result in known]


class _Run:
    """One call of `label_all` that has something to pay for."""

    def __init__(
        self, work: Work, executor: Executor, todo: list[Structure], advance: Advance
    ) -> None:
        self._work, self._executor = work, executor
        self._pending, self._held = deque(todo), deque[Structure]()
        self._meter = _Meter(advance)

    def go(self) -> dict[str, Labels | Failure]:
        """Return what this process paid for, by key; all of it is on the disk."""
        ledger, landed = self._work.ledger, {}
        try:
            for structure, outcome in self._executor.run(self._claimed(), self._work):
                landed[structure.key] = outcome.result
                self._meter.landed(outcome.result)
        finally:
            self._meter.tell()
            ledger.release()
            ledger.sync()
        return landed

    def _claimed(self) -> Iterator[Structure | None]:
        """Yield structures as they are claimed; None while others are at all that is left."""
        while self._pending or self._held:
            fresh = bool(self._pending)
            source = self._pending if fresh else self._held
            batch = [source.popleft() for _ in range(min(self._ahead(), len(source)))]
            work = self._work
            claimed = work.ledger.claim(batch, work.labeler.fingerprint, work.retry)
            self._held.extend(batch[place] for place in claimed.held)
            self._meter.elsewhere(len(claimed.done))
            granted = [batch[place] for place in claimed.granted]
            for structure in granted:  # a third of what it takes between two runs of an engine
                check_structure(structure)
            yield from granted
            if not fresh and not claimed.granted:
                yield None

    def _ahead(self) -> int:
        """How many to claim at once: little time's worth, as others may wait for them."""
        quick = int(self._meter.rate * CLAIM_AHEAD)
        return max(self._executor.workers, min(quick, MOST_CLAIMED))


class _Meter:
    """Counts what lands, and says so now and then."""

    def __init__(self, advance: Advance) -> None:
        self._advance, self._untold = advance, 0
        self._begun = self._told = time.monotonic()
        self._landed = 0
        self._failures: Counter[str] = Counter()

    @property
    def rate(self) -> float:
        """Labels per second."""
        return self._landed / max(time.monotonic() - self._begun, 1e-3)

    def landed(self, result: Labels | Failure) -> None:
        """Count one result."""
        self._landed += 1
        self._untold += 1
        if isinstance(result, Failure):
            self._failures[result.reason] += 1
        if time.monotonic() - self._told >= BETWEEN_WORDS:
            self.tell()

    def elsewhere(self, number: int) -> None:
        """Count what another process has finished."""
        self._untold += number

    def tell(self) -> None:
        """Move the bar on."""
        words = f"{self.rate:.3g} labels/s"
        if self._failures:
            words += f", {self._failures.total()} failed ("
            words += ", ".join(f"{n} {reason}" for reason, n in self._failures.most_common()) + ")"
        if self._untold:
            self._advance(self._untold, words)
        self._untold, self._told = 0, time.monotonic()


def _there(result: Labels | Failure | None) -> Labels | Failure:
    if result is None:
        raise InputError(
            "a result for every structure",
            "a row that is missing",
            "The executor lost it; run the same command again.",
        )
    return result
