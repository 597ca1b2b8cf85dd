"""Fixtures and JAX settings for every test.

Dtype promotion is strict here: a float32 value that meets a float64 one is an error instead of a
silent cast. Printed examples run as a user would run them, with JAX's defaults.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("KSHOT_CACHE", str(ROOT / ".cache" / "kshot"))
# Compiled programs outlive the run: most of a test's time is XLA's.
jax.config.update("jax_compilation_cache_dir", str(ROOT / ".cache" / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_numpy_dtype_promotion", "strict")


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
