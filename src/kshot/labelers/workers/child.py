"""A process that runs one engine: started, watched against limits, ended."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import NamedTuple

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.errors import InputError, KshotError
from kshot.labelers.outcome import Outcome

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
WATCH = 0.1  # seconds between looks at memory


@dataclass(frozen=True)
class Limits:
    """What one label may take.

    Args:
        seconds: wall time; None for no limit.
        memory_mb: memory of the engine's process in MiB (Linux only); None for no limit.
    """

    seconds: float | None = None
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that nothing can keep."""
        if self.seconds is not None and not self.seconds > 0:
            raise InputError("a time limit > 0 s", f"{self.seconds}", "None means no limit.")
        if self.memory_mb is not None and not self.memory_mb >= 200:
            raise InputError(
                "a memory limit of at least 200 MiB", f"{self.memory_mb}", "None means no limit."
            )


class Order(NamedTuple):
    """What a child is started with."""

    labeler: Labeler
    memory_mb: float | None
    ledger: Path | None
    session: int | None


class Died(NamedTuple):
    """A child that ended by itself while it was at work."""

    how: str


class Trouble(NamedTuple):
    """An error that is the caller's, on its way to the caller."""

    kind: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, error: BaseException) -> Trouble:
        """Take an error apart."""
        if isinstance(error, InputError):
            return cls("InputError", (error.expected, error.got, error.todo))
        kind = type(error).__name__
        return cls(kind, (f"{kind}: {error}" if not isinstance(error, KshotError) else str(error),))

    def error(self) -> KshotError:
        """Put it together again."""
        if self.kind == "InputError":
            return InputError(*self.words)
        return KshotError(*self.words)


class Child:
    """One engine in one process.

    Args:
        labeler: the engine; it must pickle, so its class must stand in an importable module.
        limits: what each label may take.
        threads: how many threads the engine may use.
        ledger: where the child keeps each result before it answers; None if the parent does.
        session: in whose name.
    """

    def __init__(
        self,
        labeler: Labeler,
        limits: Limits,
        threads: int,
        ledger: Path | None = None,
        session: int | None = None,
    ) -> None:
        """Start the process; it gets ready while the parent goes on."""
        self._limits = limits
        _must_travel(labeler)
        order = Order(labeler, limits.memory_mb, ledger, session)
        self.connection, theirs = Pipe()
        lifeline, self._lifeline = os.pipe()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        try:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "kshot.labelers.workers.serve"),
                    *(str(theirs.fileno()), str(lifeline)),
                ],
                pass_fds=(theirs.fileno(), lifeline),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                env=environment(threads),
                process_group=0,  # Ctrl-C is for the parent, which then decides
            )
        finally:
            theirs.close()
            os.close(lifeline)
        with contextlib.suppress(OSError):  # already dead: `answer` tells how
            self.connection.send(order)
        self._ready = False
        self._since = time.monotonic()

    def ask(self, structure: Structure) -> None:
        """Hand over a structure; the child must be idle. A dead child shows in `answer`."""
        with contextlib.suppress(OSError):
            self.connection.send(structure)
        self._since = time.monotonic()

    def answer(self) -> Outcome | Died | None:
        """Return what has come of the structure it was given; None if it is still at it.

        Never waits long. A child over its limits is killed, and the outcome is a failure.

        Raises:
            KshotError: the engine found fault with its caller.
        """
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, Trouble):
                    raise message.error()
                if message is not None:
                    return message
                self._ready = True  # imports and set-up are over: time counts from here
                self._since = time.monotonic()
        except (EOFError, OSError):
            return self._obituary()
        return self._over_limit()

    def wait(self) -> Outcome | Died:
        """Wait for what comes of the structure it was given."""
        while (answer := self.answer()) is None:
            self.connection.poll(WATCH)
        return answer

    def end(self) -> None:
        """End the process, at work or not."""
        for close in (self.connection.close, lambda: os.close(self._lifeline), self._words.close):
            with contextlib.suppress(OSError):
                close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _over_limit(self) -> Outcome | None:
        seconds, megabytes = self._limits.seconds, self._limits.memory_mb
        taken = time.monotonic() - self._since
        if seconds is not None and self._ready and taken > seconds:
            self.process.kill()
            return Outcome(Failure("time", f"stopped after {seconds:g} s"), taken)
        if megabytes is not None and _resident_mb(self.process.pid) > megabytes:
            self.process.kill()
            return Outcome(Failure("memory", f"stopped above {megabytes:g} MiB"), taken)
        return None

    def _obituary(self) -> Died:
        code = self.process.wait()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip()[-800:]
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return Died(f"{how}: {words}" if words else how)


def _must_travel(labeler: Labeler) -> None:
    """Raise InputError, before a process is started, where the pipe cannot carry the engine."""
    try:
        ForkingPickler.dumps(labeler)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise InputError(
            "a labeler that another process can load",
            f"{type(labeler).__name__}: {error}",
            "Define its class at the top level of a module and keep open files out of it.",
        ) from error
    if type(labeler).__module__ == "__main__":
        raise InputError(
            "a labeler that another process can load",
            f"{type(labeler).__name__}, defined in the script that runs",
            "Move its class into a module and import it.",
        )


def environment(threads: int) -> dict[str, str]:
    """Return the environment of a process whose engine uses so many threads."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return os.environ | dict.fromkeys(THREADS, str(threads)) | {"PYTHONPATH": path}


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
