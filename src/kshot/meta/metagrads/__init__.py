"""Meta-gradients: how the outer gradient is taken through the inner loop."""

from kshot.core.registry import Registry
from kshot.meta.metagrads.annealed import annealed
from kshot.meta.metagrads.base import MetaGrad, Outcome, When
from kshot.meta.metagrads.implicit import implicit
from kshot.meta.metagrads.joint import joint
from kshot.meta.metagrads.predictive import predictive
from kshot.meta.metagrads.probabilistic import probabilistic
from kshot.meta.metagrads.reptile import reptile
from kshot.meta.metagrads.unrolled import exact, first_order, mixed_mode, unrolled

registry = Registry(
    "metagrad",
    {
        "unrolled": "kshot.meta.metagrads.unrolled:unrolled",
        "mixed_mode": "kshot.meta.metagrads.unrolled:mixed_mode",
        "first_order": "kshot.meta.metagrads.unrolled:first_order",
        "annealed": "kshot.meta.metagrads.annealed:annealed",
        "implicit": "kshot.meta.metagrads.implicit:implicit",
        "joint": "kshot.meta.metagrads.joint:joint",
        "predictive": "kshot.meta.metagrads.predictive:predictive",
        "probabilistic": "kshot.meta.metagrads.probabilistic:probabilistic",
        "reptile": "kshot.meta.metagrads.reptile:reptile",
    },
)

__all__ = [
    "MetaGrad",
    "Outcome",
    "When",
    "annealed",
    "exact",
    "first_order",
    "implicit",
    "joint",
    "mixed_mode",
    "predictive",
    "probabilistic",
    "registry",
    "reptile",
    "unrolled",
]
