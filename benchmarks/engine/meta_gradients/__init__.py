"""One file per library. Each has `build(problem, strategy) -> MetaGradient`."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wide_mlp import WideProblem


@dataclass(frozen=True)
class MetaGradient:
    # Returns the leaves of the gradient in the initial parameters, finished, not merely dispatched.
    call: Callable[[], list[Any]]
    # Scratch memory of one call in bytes, where the compiler tells.
    compiler_bytes: int | None = None


# Key on the command line and in the tables -> (file, strategy, what it is)
MEASURED = {
    "jax_unrolled": ("jax", "unrolled", "hand-written JAX, scan, reverse mode, everything kept"),
    "jax_checkpoint": ("jax", "checkpoint", "hand-written JAX, scan, each step checkpointed"),
    "jax_nested": ("jax", "nested", "hand-written JAX, scan of scans, checkpointed at both levels"),
    "jax_linearize": ("jax", "linearize", "hand-written JAX, mixed mode, linear map kept"),
    "jax_recompute": ("jax", "recompute", "hand-written JAX, mixed mode, recomputed"),
    "jax_recompute_nested": ("jax", "recompute_nested", "the same inside a checkpointed scan"),
    "jax_first_order": ("jax", "first_order", "hand-written JAX, first order (not exact)"),
    "kshot_auto": ("kshot", "auto", "kshot `unrolled`, its memory policy's own choice"),
    "kshot_none": ("kshot", "none", 'kshot `unrolled(memory="none")`'),
    "kshot_per_step": ("kshot", "per_step", 'kshot `unrolled(memory="per_step")`'),
    "kshot_nested": ("kshot", "nested", 'kshot `unrolled(memory="nested")`'),
    "kshot_mixed_mode": ("kshot", "mixed_mode", 'kshot `mixed_mode(memory="none")`'),
    "kshot_mixed_mode_nested": (
        "kshot",
        "mixed_mode_nested",
        'kshot `mixed_mode(memory="nested")`',
    ),
    "kshot_first_order": ("kshot", "first_order", "kshot `first_order` (not exact)"),
    "torch_func": ("torch_func", "unrolled", "torch.func"),
    "higher": ("higher", "unrolled", "higher"),
}


def load(name: str, problem: WideProblem) -> MetaGradient:
    """Raise entries.NotInstalledError where it cannot run."""
    file, strategy, _ = MEASURED[name]
    return importlib.import_module(f"meta_gradients.{file}_gradient").build(problem, strategy)
