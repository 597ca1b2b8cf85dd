"""Meta-algorithms: named recipes, one line each in the table below."""

from kshot.core.registry import Registry

registry = Registry(
    "algorithm",
    {
        "maml": "kshot.meta.algorithms.maml:maml",
        "fomaml": "kshot.meta.algorithms.maml:fomaml",
        "reptile": "kshot.meta.algorithms.maml:reptile",
        "anil": "kshot.meta.algorithms.maml:anil",
        "boil": "kshot.meta.algorithms.maml:boil",
        "meta_sgd": "kshot.meta.algorithms.maml:meta_sgd",
        "mamlpp": "kshot.meta.algorithms.mamlpp:mamlpp",
        "imaml": "kshot.meta.algorithms.imaml:imaml",
        "gauss_newton": "kshot.meta.algorithms.closed_form:gauss_newton",
        "ridge": "kshot.meta.algorithms.closed_form:ridge",
        "bayes_head": "kshot.meta.algorithms.closed_form:bayes_head",
        "probabilistic": "kshot.meta.algorithms.probabilistic:probabilistic",
        "joint": "kshot.meta.algorithms.baselines:joint",
        "finetune": "kshot.meta.algorithms.baselines:finetune",
        "scratch": "kshot.meta.algorithms.baselines:scratch",
        "gaussian_process": "kshot.meta.algorithms.gaussian_process:gaussian_process",
        "ensemble": "kshot.meta.algorithms.ensemble:ensemble",
    },
)

__all__ = ["registry"]
