"""One Dask worker that ends with its client.

Run as ``python -m kshot.labelers.workers.dask_worker SCHEDULER LIFELINE``, never by hand.
"""

from __future__ import annotations

import signal
import sys
import threading

from kshot.labelers.workers.serve import die_with_parent


def main(scheduler: str, lifeline: int) -> None:
    """Work for one scheduler."""
    threading.Thread(target=die_with_parent, args=(lifeline,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from distributed.cli.dask_worker import main as dask_worker

    options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--memory-limit", "0"]
    dask_worker([scheduler, *options, "--death-timeout", "30"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
