"""torch.func."""

import torch
from entries.torch_common import Params, flat_params, mse
from torch.func import grad
from wide_mlp import WideProblem

from meta_gradients import MetaGradient


def build(problem: WideProblem, strategy: str) -> MetaGradient:
    support_x, support_y, query_x, query_y = (
        torch.tensor(a)
        for a in (problem.support_x, problem.support_y, problem.query_x, problem.query_y)
    )

    def query_loss(params: Params) -> torch.Tensor:
        for _ in range(problem.inner_steps):
            gradient = grad(mse)(params, support_x, support_y)
            params = tuple(
                p - problem.inner_rate * g for p, g in zip(params, gradient, strict=True)
            )
        return mse(params, query_x, query_y)

    params = flat_params(problem.weights)
    return MetaGradient(call=lambda: list(grad(query_loss)(params)))
