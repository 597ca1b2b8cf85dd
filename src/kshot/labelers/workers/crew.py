"""Dask workers on this machine, replaced when they die.

Dask's own local cluster runs the calling script again in each of its processes, unless the script
guards against it; these do not.
"""

from __future__ import annotations

import os
import subprocess
import sys

from kshot.labelers.workers.child import environment


class DaskCrew:
    """Processes that work for one scheduler.

    Args:
        scheduler: its address.
        workers: how many.
        threads: of each engine.
    """

    def __init__(self, scheduler: str, workers: int, threads: int) -> None:
        """Start them."""
        self._scheduler, self._environment = scheduler, environment(threads)
        self._theirs, self._lifeline = os.pipe()
        self._processes = [self._start() for _ in range(workers)]

    def mend(self) -> None:
        """Replace those that died."""
        self._processes = [
            process if process.poll() is None else self._start() for process in self._processes
        ]

    def end(self) -> None:
        """End them all."""
        for process in self._processes:
            process.kill()
            process.wait()
        os.close(self._lifeline)
        os.close(self._theirs)

    def _start(self) -> subprocess.Popen[bytes]:
        module = "kshot.labelers.workers.dask_worker"
        return subprocess.Popen(
            [sys.executable, "-m", module, self._scheduler, str(self._theirs)],
            pass_fds=(self._theirs,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            process_group=0,
        )
