"""kshot.meta with each of its meta-gradients."""

import optax
from sinusoid import Problem

from entries import Run
from entries.kshot_common import trained
from entries.kshot_entry import loss
from kshot import meta

METAGRADS = {
    "unrolled": meta.metagrads.unrolled,
    "mixed_mode": meta.metagrads.mixed_mode,
    "nested": lambda steps: meta.metagrads.unrolled(steps, memory="nested"),
    "first_order": meta.metagrads.first_order,
}


def build(problem: Problem, strategy: str) -> Run:
    algorithm = meta.bilevel(
        loss,
        meta.rules.sgd(problem.inner_rate),
        METAGRADS[strategy](problem.inner_steps),
        outer=optax.adam(problem.outer_rate),
    )
    return trained(problem, algorithm)
