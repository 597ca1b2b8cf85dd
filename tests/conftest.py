"""Fixtures and JAX settings for every test.

Dtype promotion is strict here: a float32 value that meets a float64 one is an error instead of a
silent cast. Printed examples run as a user would run them, with JAX's defaults.
"""

import contextlib
import ctypes
import gc
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PEAKS: list[tuple[float, str]] = [(0.0, "")]  # MB; of this process and of those that have ended
GROWTH = 50.0  # MB that a test must add to a process's peak to be named for it

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("KSHOT_CACHE", str(ROOT / ".cache" / "kshot"))
os.environ.setdefault("KSHOT_DATA", str(ROOT / ".cache" / "data"))  # `make` has fetched into it
# Compiled programs outlive the run: most of a test's time is XLA's.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture(autouse=True, scope="module")
def compiled_programs_go() -> Iterator[None]:
    """Programs of one module are no use to the next: the cache on disk gives back what is."""
    yield
    # not imported here: annotations are checked only in what is imported after this file
    if kept := sys.modules.get("kshot.core.kept_programs"):
        kept._ready.clear()
    jax.clear_caches()
    gc.collect()
    give_memory_back()


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Take down which test took this process to its peak."""
    if peak_mb() > max(PEAKS)[0] + GROWTH:
        PEAKS.append((peak_mb(), nodeid))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if this process took more memory than KSHOT_TEST_MB allows, where that is set."""
    most = float(os.environ.get("KSHOT_TEST_MB", "0"))
    PEAKS.append((peak_mb(), max(PEAKS)[1]))  # what grew by less than a test is named for
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["peak"] = max(PEAKS)
    if most and max(PEAKS)[0] > most:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take down what a process of pytest-xdist took."""
    PEAKS.append(tuple(getattr(node, "workeroutput", {}).get("peak", PEAKS[0])))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much memory the largest test process took, and at which test."""
    most, test = max(PEAKS)
    terminalreporter.write_line(f"largest test process: {most:.0f} MB, at {test}")


def give_memory_back() -> None:
    """Hand freed memory to the system: glibc keeps what XLA's compiler has scattered it over."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def peak_mb() -> float:
    """Return the most memory this process has had, in MB; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


@pytest.fixture
def x64() -> Iterator[None]:
    """Run the test in float64; ask for it by name, or with `pytest.mark.usefixtures("x64")`."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def quick_compile() -> Iterator[None]:
    """Compile without optimising: for tests of values, whose programs run once."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def key() -> jax.Array:
    """The JAX key to start from."""
    return jax.random.key(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """The NumPy generator to start from."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Global generators start alike in every test, in whatever order and process it runs."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  third parties still read it
