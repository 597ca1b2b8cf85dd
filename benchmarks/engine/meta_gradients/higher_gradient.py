"""higher."""

import higher
import torch
from entries.torch_common import module
from torch.nn.functional import mse_loss
from wide_mlp import WideProblem

from meta_gradients import MetaGradient


def build(problem: WideProblem, strategy: str) -> MetaGradient:
    support_x, support_y, query_x, query_y = (
        torch.tensor(a)
        for a in (problem.support_x, problem.support_y, problem.query_x, problem.query_y)
    )
    net = module(problem.weights)
    sgd = torch.optim.SGD(net.parameters(), lr=problem.inner_rate)

    def call() -> list[torch.Tensor]:
        with higher.innerloop_ctx(net, sgd, copy_initial_weights=False) as (adapted, inner):
            for _ in range(problem.inner_steps):
                inner.step(mse_loss(adapted(support_x), support_y))
            loss = mse_loss(adapted(query_x), query_y)
            # (outputs x inputs) in torch.nn.Linear: transposed to match the other entries.
            return [g.T for g in torch.autograd.grad(loss, list(net.parameters()))]

    return MetaGradient(call)
