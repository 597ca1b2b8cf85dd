"""Inner rules: how φ moves on the support set. One file each; one line each in the table below."""

from kshot.core.registry import Registry
from kshot.meta.rules.base import InnerRule, PosteriorRule, StepInfo
from kshot.meta.rules.gauss_newton import gauss_newton
from kshot.meta.rules.gaussian import gaussian_start
from kshot.meta.rules.levenberg_marquardt import levenberg_marquardt
from kshot.meta.rules.meta_sgd import meta_sgd, per_step
from kshot.meta.rules.optax_rule import adam, optax_rule
from kshot.meta.rules.posterior import Posterior
from kshot.meta.rules.proximal import proximal
from kshot.meta.rules.ridge import ridge
from kshot.meta.rules.sgd import sgd

registry = Registry(
    "rule",
    {
        "sgd": "kshot.meta.rules.sgd:sgd",
        "meta_sgd": "kshot.meta.rules.meta_sgd:meta_sgd",
        "per_step": "kshot.meta.rules.meta_sgd:per_step",
        "optax": "kshot.meta.rules.optax_rule:optax_rule",
        "adam": "kshot.meta.rules.optax_rule:adam",
        "proximal": "kshot.meta.rules.proximal:proximal",
        "gauss_newton": "kshot.meta.rules.gauss_newton:gauss_newton",
        "levenberg_marquardt": "kshot.meta.rules.levenberg_marquardt:levenberg_marquardt",
        "gaussian_start": "kshot.meta.rules.gaussian:gaussian_start",
        "ridge": "kshot.meta.rules.ridge:ridge",
    },
)

__all__ = [
    "InnerRule",
    "Posterior",
    "PosteriorRule",
    "StepInfo",
    "adam",
    "gauss_newton",
    "gaussian_start",
    "levenberg_marquardt",
    "meta_sgd",
    "optax_rule",
    "per_step",
    "proximal",
    "registry",
    "ridge",
    "sgd",
]
