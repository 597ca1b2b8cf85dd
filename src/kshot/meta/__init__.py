"""The engine: model-agnostic meta-learning for parameters that are a pytree and a loss that is
differentiable. It knows nothing of atoms.
"""

from kshot.meta import metagrads, rules
from kshot.meta.algorithms.base import Info, MetaAlgorithm, State
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.recipes import (
    anil,
    bilevel,
    boil,
    fomaml,
    gauss_newton,
    imaml,
    maml,
    mamlpp,
    meta_sgd,
    reptile,
    ridge,
)
from kshot.meta.learner import Learner
from kshot.meta.loss import Stateful, SumOfSquares
from kshot.meta.task import Task, first_shots, shots, stack_tasks, take
