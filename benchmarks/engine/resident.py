"""Peak resident memory of a stretch of work in this process, on Linux."""

import ctypes
import gc
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20


@dataclass
class Peak:
    above_entry: float = 0.0  # MiB
    method: str = ""


@contextmanager
def measure_peak() -> Iterator[Peak]:
    """Fill the yielded Peak with the highest resident memory inside, less that at entry."""
    gc.collect()
    # Freed heap pages that the allocator still holds (compiling leaves many) would count at entry
    # and then be used again for free, and hide a part of the peak.
    ctypes.CDLL(None).malloc_trim(0)
    peak = Peak()
    if _reset_high_water():
        entry = _status("VmRSS")
        yield peak
        peak.above_entry = (_status("VmHWM") - entry) / MIB
        peak.method = "VmHWM"
        return
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    entry = _status("VmRSS")
    with _sampler() as highest:
        yield peak
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # A new all-time high is exact; below the old one there are only the samples.
    peak.above_entry = ((after if after > before else highest[0]) - entry) / MIB
    peak.method = "ru_maxrss" if after > before else "sampled"


def _reset_high_water() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    # Some kernels take the write and keep the old mark.
    return _status("VmHWM") - _status("VmRSS") < MIB


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {key} in /proc/self/status")


@contextmanager
def _sampler() -> Iterator[list[int]]:
    highest = [_status("VmRSS")]
    done = threading.Event()

    def sample() -> None:
        while not done.is_set():
            highest[0] = max(highest[0], _status("VmRSS"))
            time.sleep(0.001)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield highest
    finally:
        done.set()
        thread.join()
