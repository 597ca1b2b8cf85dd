"""What a worker does once its call is ready: answer on its channel, time, measure memory."""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 2**20


def answers() -> Any:
    """Libraries print to stdout at will; answers get a channel of their own."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return channel


def status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {key} in /proc/self/status")


def peak(call: Callable[[], Any]) -> float | None:
    """Highest resident memory of a call above what there was before it, in MiB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    before = status("VmRSS")
    call()
    return (status("VmHWM") - before) / MIB


def serve(channel: Any, call: Callable[[], Any], **told: Any) -> None:
    """`call` is warm; tell what is known of it, then time as many calls as are asked for."""
    print(json.dumps(told | {"peak_mib": peak(call)}), file=channel)
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(int(line)):
            call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(json.dumps({"cpu": cpu, "wall": wall}), file=channel)
