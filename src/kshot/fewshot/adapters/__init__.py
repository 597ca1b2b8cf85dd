"""Ways to adapt a start, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from collections.abc import Sequence

from kshot.core.errors import OptionError
from kshot.core.registry import Registry
from kshot.fewshot.adapters.base import Adapter
from kshot.fewshot.adapters.linear import Linear
from kshot.potentials.model import Model

adapters = Registry(
    "method",
    {
        "shift": "kshot.fewshot.adapters.plain:SHIFT",
        "head": "kshot.fewshot.adapters.plain:HEAD",
        "uniform": "kshot.fewshot.adapters.plain:UNIFORM",
        "relative": "kshot.fewshot.adapters.plain:RELATIVE",
        "fisher": "kshot.fewshot.adapters.fisher:FISHER",
        "meta": "kshot.fewshot.adapters.learned:META",
        "inner": "kshot.fewshot.adapters.inner:INNER",
        "finetune": "kshot.fewshot.adapters.finetune:FINETUNE",
    },
)
"""``shift`` (zero-shot + shift), ``head`` (ridge on the readouts), and Gauss-Newton on all
parameters: ``uniform`` (one variance), ``relative`` (each leaf's mean square), ``fisher`` (more
where the shots say less), ``meta`` (the learned variances); ``inner`` (the rule that a start was
meta-trained for) and ``finetune`` (gradient steps, minutes)."""


def usual(start: Model) -> tuple[str, ...]:
    """Return the names of the adapters that compete for a start unless others are asked for."""
    return tuple(name for name in adapters if adapters.get(name).competes(start))


def slow() -> tuple[str, ...]:
    """Return the names of those that take minutes."""
    return tuple(name for name in adapters if adapters.get(name).thorough)


def named(names: Sequence[str]) -> list[Adapter]:
    """Return adapters by their names, each once.

    Raises:
        UnknownNameError: a name that is none.
        OptionError: none of them is in closed form; the learning curve needs one.
    """
    chosen = [adapters.get(name) for name in dict.fromkeys(names)]
    if not any(isinstance(adapter, Linear) for adapter in chosen):
        closed = [name for name in adapters if isinstance(adapters.get(name), Linear)]
        todo = "Add one: shift costs nothing."
        raise OptionError(f"one of {', '.join(closed)}", ", ".join(names) or "none", todo)
    return chosen
