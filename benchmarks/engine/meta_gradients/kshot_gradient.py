"""kshot.meta's strategies."""

import jax
import jax.numpy as jnp
from entries.kshot_entry import loss
from wide_mlp import WideProblem

from kshot import meta
from meta_gradients import MetaGradient

METAGRADS = {
    "none": lambda steps: meta.metagrads.unrolled(steps, memory="none"),
    "per_step": lambda steps: meta.metagrads.unrolled(steps, memory="per_step"),
    "nested": lambda steps: meta.metagrads.unrolled(steps, memory="nested"),
    "auto": lambda steps: meta.metagrads.unrolled(steps, memory="auto"),
    "mixed_mode": lambda steps: meta.metagrads.mixed_mode(steps, memory="none"),
    "mixed_mode_nested": lambda steps: meta.metagrads.mixed_mode(steps, memory="nested"),
    "first_order": meta.metagrads.first_order,
}


def build(problem: WideProblem, strategy: str) -> MetaGradient:
    metagrad = METAGRADS[strategy](problem.inner_steps)
    algorithm = meta.bilevel(loss, meta.rules.sgd(problem.inner_rate), metagrad)
    learner = algorithm.init(jax.tree.map(jnp.asarray, problem.weights)).learner
    task = meta.Task(
        (jnp.asarray(problem.support_x), jnp.asarray(problem.support_y)),
        (jnp.asarray(problem.query_x), jnp.asarray(problem.query_y)),
    )

    def gradient(params: object, task: meta.Task) -> object:
        start = meta.Learner(params, learner.rule, learner.moves)
        return metagrad(start, algorithm.objective, task)[1].params

    compiled = jax.jit(gradient).lower(learner.params, task).compile()
    return MetaGradient(
        call=lambda: jax.tree.leaves(jax.block_until_ready(compiled(learner.params, task))),
        compiler_bytes=compiled.memory_analysis().temp_size_in_bytes,
    )
