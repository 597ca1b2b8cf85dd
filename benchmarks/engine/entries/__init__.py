"""One file per contestant. Each has `build(problem) -> run`, and `run(n)` makes n further outer
steps and returns their n query losses.
"""

import importlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sinusoid import Problem

Run = Callable[[int], NDArray[np.floating]]


class NotInstalledError(Exception):
    """The contestant cannot run here; the message says why."""


# Key on the command line and in the tables -> what it is.
ENTRIES = {
    "jax_scan": "hand-written JAX, many outer steps per device call (lax.scan)",
    "jax_step": "hand-written JAX, jit per outer step",
    "kshot": "kshot.meta, `train`",
    "kshot_step": "kshot.meta, one `step` call per outer step",
    "jax_meta": "jax_meta, its train_step inside lax.scan",
    "metax": "metax, its update inside lax.scan",
    "torch_compile": "torch.func + vmap, torch.compile (inductor)",
    "torch_func": "torch.func + vmap, eager",
    "torchopt": "TorchOpt functional + vmap",
    "higher": "higher",
    "learn2learn": "learn2learn",
}

# The ways to take one and the same meta-gradient, on the same problem and loop as jax_scan.
STRATEGIES = {
    "jax_unrolled": "reverse mode through the unrolled inner loop (= jax_scan)",
    "jax_checkpoint": "scan over inner steps, each checkpointed",
    "jax_nested": "scan of scans, checkpointed at both levels",
    "jax_linearize": "mixed mode, the Hessian's linear map kept from the forward pass",
    "jax_recompute": "mixed mode, Hessian-vector product recomputed from the saved parameters",
    "jax_first_order": "first order (not the exact gradient: for comparison)",
    "kshot_unrolled": "kshot unrolled",
    "kshot_mixed_mode": "kshot mixed_mode",
    "kshot_nested": "kshot unrolled, nested checkpoints",
    "kshot_first_order": "kshot first_order (not the exact gradient: for comparison)",
}

NOT_EXACT = {"jax_first_order", "kshot_first_order"}


def load(name: str, problem: Problem) -> Run:
    """Raise NotInstalledError where the contestant cannot run."""
    if name in STRATEGIES:
        library, _, strategy = name.partition("_")
        return importlib.import_module(f"entries.{library}_strategy_entry").build(problem, strategy)
    return importlib.import_module(f"entries.{name}_entry").build(problem)
