"""Plain ways to adapt, which meta-learning has to beat: shift, head, uniform, relative."""

from kshot.fewshot import priors
from kshot.fewshot.adapters.linear import Linear

SHIFT = Linear("shift", "zero-shot + shift", priors.nothing, factors=(1.0,), steps=1)
"""Zero-shot + shift: no parameter moves, energies are shifted per element."""
HEAD = Linear("head", "ridge on the readouts", priors.head)
"""Ridge regression on the readouts."""
UNIFORM = Linear("uniform", "Gauss–Newton, one variance", priors.uniform, tried=priors.has_learned)
"""One variance for all parameters: tried beside a learned prior, which has to beat it."""
RELATIVE = Linear(
    "relative",
    "Gauss–Newton, variances ∝ each leaf's mean square",
    priors.relative,
    tried=lambda start: not priors.has_learned(start),
)
"""Each leaf's mean square: where there is no learned prior, one variance for all is no match."""
