"""An engine in a process of its own, so that it may crash, hang or swell without harm."""

from __future__ import annotations

import os

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.labelers.outcome import Outcome
from kshot.labelers.workers import Child, Died, Limits


class Isolated(Labeler):
    """Runs another labeler in a child process with limits of time and memory.

    The child lives on from label to label and is started afresh when it has died.

    Args:
        labeler: the engine; it must pickle.
        seconds: wall time that one label may take; None for no limit.
        memory_mb: memory that its process may take, in MiB (Linux only); None for no limit.
        threads: how many threads it may use.
        attempts: how often a label is tried that crashes the process, before it is a failure.
    """

    def __init__(
        self,
        labeler: Labeler,
        *,
        seconds: float | None = None,
        memory_mb: float | None = None,
        threads: int = 1,
        attempts: int = 2,
    ) -> None:
        """Start nothing yet."""
        self._labeler, self._limits = labeler, Limits(seconds, memory_mb)
        self._threads, self._attempts = threads, attempts
        self._child: Child | None = None
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, object]:
        """Leave the child behind: it is of this process."""
        return self.__dict__ | {"_child": None}

    def __del__(self) -> None:
        """End the child."""
        self.close()

    @property
    def fingerprint(self) -> Fingerprint:
        """That of the engine: where it runs moves no number."""
        return self._labeler.fingerprint

    def label(self, structure: Structure) -> Labels | Failure:
        """Return what the engine says, or a failure: time, memory or crash."""
        how = ""
        for _ in range(self._attempts):
            answer = self._ask(structure)
            if isinstance(answer, Outcome):
                return answer.result
            how = answer.how
        if "MemoryError" in how:
            return Failure("memory", how)
        return Failure("crash", how)

    def close(self) -> None:
        """End the child process, if there is one."""
        child, self._child = self.__dict__.get("_child"), None
        if child is not None and self._pid == os.getpid():
            child.end()

    def _ask(self, structure: Structure) -> Outcome | Died:
        if self._child is None:
            self._child, self._pid = Child(self._labeler, self._limits, self._threads), os.getpid()
        fit = False  # whether the child can go on to the next label
        try:
            self._child.ask(structure)
            answer = self._child.wait()
            fit = not _killed(answer) and self._child.process.poll() is None
        finally:
            if not fit:
                self.close()
        return answer


def _killed(answer: Outcome | Died) -> bool:
    return isinstance(answer, Died) or (
        isinstance(answer.result, Failure) and answer.result.reason in ("time", "memory")
    )
