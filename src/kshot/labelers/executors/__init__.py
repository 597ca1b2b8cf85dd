"""Where engines run: `Local` in this process, `Pool` on this machine, `Dask` on many."""

from kshot.labelers.executors.base import Executor, Work
from kshot.labelers.executors.dask import Dask, jobs
from kshot.labelers.executors.local import Local
from kshot.labelers.executors.pool import Pool

__all__ = ["Dask", "Executor", "Local", "Pool", "Work", "jobs"]
