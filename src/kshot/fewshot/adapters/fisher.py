"""Each parameter may move the farther, the less the labels say of it.

No label is looked at for that: derivatives on the labelled frames are.
"""

from kshot.fewshot import priors
from kshot.fewshot.adapters.linear import Linear

FISHER = Linear("fisher", "Gauss–Newton, variances ∝ (Fisher information)^(-1/2)", priors.fisher)
