"""Kshot: few-shot machine-learning potentials by meta-learning, in JAX.

Import the part you need (`from kshot import meta`). This package imports none of its parts, so that
`import kshot` costs nothing and no part can come to depend on all the others by accident; only
`kshot.adapt` is found when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401 - modules' attributes are of any type
    """Import the one function that stands here for what kshot is for."""
    if name == "adapt":
        return importlib.import_module("kshot.pipeline.python").adapt
    raise AttributeError(f"module 'kshot' has no attribute {name!r}")
