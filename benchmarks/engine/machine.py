"""What a result has to say about where it came from, and how a process is held to one thread."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "kshot", "jax", "jaxlib", "optax", "torch",
    "higher", "learn2learn", "torchopt", "jax_meta", "metax", "numpy",
)  # fmt: skip

SINGLE_THREAD = {
    # XLA's CPU client sizes its thread pool by this. Left alone it runs independent operations on
    # several threads even when each operation is held to one.
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def environment(threads: str) -> dict[str, str]:
    """`threads` is "single" or "default"."""
    return {**os.environ, **(SINGLE_THREAD if threads == "single" else {})}


def limit_torch_threads() -> None:
    """The rest of the limit, for a process in which torch may be used."""
    try:
        import torch
    except ModuleNotFoundError:
        return
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)


def describe() -> dict[str, str]:
    return {
        "processor": _processor(),
        "cpus": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
