"""Many machines, through Dask: a cluster on this one, or jobs in the queue of SLURM or PBS.

Only the client, this process, writes the ledger: each result as it lands. What lands late is kept
by `kshot.labelers.executors.landing`.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.errors import InputError
from kshot.core.registry import missing_extra
from kshot.labelers.executors.base import PAUSE, Executor, Work, processes
from kshot.labelers.executors.landing import Landed, file_of, find, leave
from kshot.labelers.outcome import Outcome, run
from kshot.labelers.workers.child import THREADS, Trouble
from kshot.labelers.workers.crew import DaskCrew

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 2  # tasks per worker under way, so that none waits for the client
_END = object()
FETCH = 1.0  # seconds to wait for a result that is said to be ready
DEATHS = 1  # workers a task may kill, unproven, before it is tried alone


class Dask(Executor):
    """Labels on a Dask cluster.

    A killed worker's task runs again elsewhere. A task under suspicion of killing workers is run
    alone at the end, and set aside with a reason if it kills again. Bound the threads of workers
    of your own clusters to what the engine uses (`jobs` does).

    Args:
        cluster: where to connect to: an address (``"tcp://host:8786"``) or a cluster object, such
            as `jobs` makes; None starts processes on this machine.
        workers: how many processes to start on this machine; None: one per core and threads.
        threads: of each engine, in the processes started on this machine.
    """

    def __init__(
        self,
        cluster: Any = None,  # noqa: ANN401 - an address or any of Dask's cluster classes
        *,
        workers: int | None = None,
        threads: int = 1,
    ) -> None:
        """Start nothing yet."""
        self._cluster, self._threads = cluster, threads
        self._workers = processes(workers, threads)

    @property
    def workers(self) -> int:
        """How many processes are asked for."""
        return self._workers

    def run(
        self, structures: Iterator[Structure | None], work: Work
    ) -> Iterator[tuple[Structure, Outcome]]:
        """Label structures; a cluster on this machine lives as long as there is work."""
        with self._client() as (client, crew):
            landed = Landed(work.ledger)
            desk = _Desk(client, work, crew, landed)
            exhausted = False
            try:
                while not (exhausted and not desk.open):
                    exhausted = exhausted or desk.submit(structures, self._workers)
                    yield from desk.collect()
                for suspect in desk.suspects:
                    yield from desk.alone(suspect)
            finally:
                landed.close()

    @contextmanager
    def _client(self) -> Iterator[tuple[Client, DaskCrew | None]]:
        distributed, dask = _distributed()
        if self._cluster is not None:
            with distributed.Client(self._cluster, set_as_default=False) as client:
                yield client, None
            return
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": DEATHS}),
            distributed.LocalCluster(
                n_workers=0,
                processes=False,
                protocol="tcp",
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            ) as scheduler,
            distributed.Client(scheduler, set_as_default=False) as client,
        ):
            crew = DaskCrew(scheduler.scheduler_address, self._workers, self._threads)
            try:
                yield client, crew
            finally:
                crew.end()


@dataclass
class _Desk:
    """Tasks under way, and what is known of them."""

    client: Client
    work: Work
    crew: DaskCrew | None
    waiting: Landed
    open: dict[Future, Structure] = field(default_factory=dict)
    landed: queue.SimpleQueue[Future] = field(default_factory=queue.SimpleQueue)
    suspects: list[Structure] = field(default_factory=list)

    def submit(self, structures: Iterator[Structure | None], workers: int) -> bool:
        """Put tasks under way; return whether there are no more."""
        if self.crew is None:
            known: Any = self.client.nthreads()
            workers = max(1, sum(known.values()))
        while len(self.open) < AHEAD * workers:
            drawn = next(structures, _END)
            if drawn is _END:
                return True
            if not isinstance(drawn, Structure):
                break
            self._start(drawn)
        return False

    def collect(self) -> Iterator[tuple[Structure, Outcome]]:
        """Wait a moment; keep and yield what has landed."""
        self.work.check_stop()
        if self.crew is not None:
            self.crew.mend()
        try:
            landed = [self.landed.get(timeout=PAUSE)]
        except queue.Empty:
            return
        while not self.landed.empty():
            landed.append(self.landed.get())
        for future in landed:
            try:
                outcome = self._result(future, self.open[future])
            except TimeoutError:  # lost with its worker, and run again by Dask: ask later
                self.landed.put(future)
                continue
            structure = self.open.pop(future)
            future.release()
            if outcome is None:
                self.suspects.append(structure)
                continue
            self.work.put(structure, outcome)
            self.waiting.add(self._file(structure))
            yield structure, outcome

    def alone(self, structure: Structure) -> Iterator[tuple[Structure, Outcome]]:
        """Run one task while no other can be blamed for a worker's death."""
        before = len(self.suspects)
        self._start(structure)
        while self.open:
            yield from self.collect()
        if len(self.suspects) > before:
            self.suspects.pop()
            detail = "it killed every worker it was given to"
            outcome = Outcome(Failure("set aside", detail), 0.0)
            self.work.put(structure, outcome)
            yield structure, outcome

    def _file(self, structure: Structure) -> Path:
        return file_of(self.waiting.folder, structure, self.work.labeler.fingerprint)

    def _start(self, structure: Structure) -> None:
        path = self._file(structure)
        if self.work.retry.reasons:
            path.unlink(missing_ok=True)  # it may be the very failure that is to be tried again
        future = self.client.submit(_label, self.work.labeler, structure, path, pure=False)
        self.open[future] = structure
        future.add_done_callback(self.landed.put)

    def _result(self, future: Future, structure: Structure) -> Outcome | None:
        """Return what came of a task; None if its workers died.

        Raises:
            TimeoutError: the worker that held the result died. Waiting longer would keep its
                replacement from being started.
        """
        from distributed import KilledWorker

        waiting = find(self._file(structure), self.work.labeler.fingerprint)
        if waiting is not None:
            return waiting
        try:
            answer = future.result(timeout=FETCH)
        except KilledWorker:
            return None
        if isinstance(answer, Trouble):
            raise answer.error()
        return answer


def _label(labeler: Labeler, structure: Structure, path: Path) -> Outcome | Trouble:
    """Label one structure on a worker; what is the caller's fault travels back as a value."""
    try:
        outcome = find(path, labeler.fingerprint)
        if outcome is None:
            outcome = run(labeler, structure)
            leave(path, outcome)
        return outcome
    except MemoryError:
        return Outcome(Failure("memory", "the worker has no more memory"), 0.0)
    except Exception as error:  # noqa: BLE001 - not every exception pickles
        return Trouble.of(error)


def jobs(
    queue_system: Literal["slurm", "pbs"],
    workers: int,
    *,
    threads: int = 1,
    memory: str = "4GB",
    **options: Any,  # noqa: ANN401 - dask-jobqueue's own
) -> Any:  # noqa: ANN401
    """Return a Dask cluster of batch jobs, one engine each, with its threads bounded.

    Args:
        queue_system: ``"slurm"`` or ``"pbs"``.
        workers: how many jobs.
        threads: of each engine, which are also the cores of each job.
        memory: of each job.
        **options: of `dask_jobqueue`, such as ``queue="short"`` or ``walltime="02:00:00"``; what is
            left out comes from Dask's configuration files.
    """
    classes = {"slurm": "SLURMCluster", "pbs": "PBSCluster"}
    if queue_system not in classes:
        raise InputError("slurm or pbs", repr(queue_system), "Pass other clusters to Dask itself.")
    try:
        import dask_jobqueue
    except ModuleNotFoundError as error:
        raise missing_extra("a batch cluster", error.name, "cluster") from error
    bound = [f"export {name}={threads}" for name in THREADS]
    # One process with one task at a time: the job's cores belong to the engine's threads.
    extra = [*options.pop("worker_extra_args", []), "--nthreads", "1"]
    cluster = getattr(dask_jobqueue, classes[queue_system])(
        cores=threads,
        processes=1,
        memory=memory,
        job_script_prologue=[*options.pop("job_script_prologue", []), *bound],
        worker_extra_args=extra,
        **options,
    )
    cluster.scale(jobs=workers)
    return cluster


def _distributed() -> tuple[Any, Any]:
    try:
        import dask
        import distributed
    except ModuleNotFoundError as error:
        raise missing_extra("the executor 'dask'", error.name, "cluster") from error
    return distributed, dask
