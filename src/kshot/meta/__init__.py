"""The engine: model-agnostic meta-learning for any pytree of parameters and differentiable loss.

It knows nothing of atoms.
"""

from kshot.meta import algorithms, evaluate, metagrads, problems, rules
from kshot.meta.algorithms.base import Info, MetaAlgorithm, State
from kshot.meta.algorithms.baselines import finetune, joint, scratch
from kshot.meta.algorithms.bilevel import Bilevel
from kshot.meta.algorithms.closed_form import bayes_head, gauss_newton, ridge
from kshot.meta.algorithms.common import bilevel
from kshot.meta.algorithms.ensemble import Ensemble, ensemble, spread
from kshot.meta.algorithms.gaussian_process import GaussianProcess, gaussian_process
from kshot.meta.algorithms.imaml import imaml
from kshot.meta.algorithms.maml import anil, boil, fomaml, maml, meta_sgd, reptile
from kshot.meta.algorithms.mamlpp import mamlpp
from kshot.meta.algorithms.probabilistic import probabilistic
from kshot.meta.checkpoint import load_state
from kshot.meta.history import History
from kshot.meta.learner import Learner
from kshot.meta.loss import Stateful, SumOfSquares
from kshot.meta.metagrads.inner_loop import stats_at
from kshot.meta.metrics import read_metrics
from kshot.meta.plan import Plan, plan_memory
from kshot.meta.sharding import shard_tasks, task_mesh
from kshot.meta.stream import DeviceTasks, FixedTasks, HostTasks, TaskStream
from kshot.meta.task import Task, first_shots, shots, stack_tasks, take
from kshot.meta.train import Report, TrainResult, train

__all__ = [
    "Bilevel",
    "DeviceTasks",
    "Ensemble",
    "FixedTasks",
    "GaussianProcess",
    "History",
    "HostTasks",
    "Info",
    "Learner",
    "MetaAlgorithm",
    "Plan",
    "Report",
    "State",
    "Stateful",
    "SumOfSquares",
    "Task",
    "TaskStream",
    "TrainResult",
    "algorithms",
    "anil",
    "bayes_head",
    "bilevel",
    "boil",
    "ensemble",
    "evaluate",
    "finetune",
    "first_shots",
    "fomaml",
    "gauss_newton",
    "gaussian_process",
    "imaml",
    "joint",
    "load_state",
    "maml",
    "mamlpp",
    "meta_sgd",
    "metagrads",
    "plan_memory",
    "probabilistic",
    "problems",
    "read_metrics",
    "reptile",
    "ridge",
    "rules",
    "scratch",
    "shard_tasks",
    "shots",
    "spread",
    "stack_tasks",
    "stats_at",
    "take",
    "task_mesh",
    "train",
]
