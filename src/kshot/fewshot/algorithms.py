"""Names of the algorithms a start can be meta-trained by; configurations need no more of them."""

from typing import Literal, get_args

Optimiser = Literal["adam", "sgd"]
Algorithm = Literal[
    "maml",
    "fomaml",
    "reptile",
    "anil",
    "boil",
    "meta_sgd",
    "mamlpp",
    "imaml",
    "probabilistic",
    "ridge",
    "bayes_head",
    "gauss_newton",
    "finetune",
]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
"""What each is: `kshot.fewshot.recipes.RECIPES`."""
