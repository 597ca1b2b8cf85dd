"""The variances that a start has learned from families."""

from kshot.fewshot import priors
from kshot.fewshot.adapters.linear import Linear

META = Linear(
    "meta",
    "Gauss–Newton, learned variances",
    priors.learned,
    baseline=False,
    tried=priors.has_learned,
)
