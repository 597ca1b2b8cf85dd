"""higher: a differentiable copy of module and optimiser per task, as its examples do."""

import higher
import numpy as np
import torch
from sinusoid import Problem
from torch.nn.functional import mse_loss

from entries import Run
from entries.torch_common import as_numpy, batches, module


def build(problem: Problem) -> Run:
    net = module(problem.weights)
    sgd = torch.optim.SGD(net.parameters(), lr=problem.inner_rate)
    adam = torch.optim.Adam(net.parameters(), lr=problem.outer_rate)
    tasks = batches(problem)
    done = 0

    def outer_step(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        adam.zero_grad()
        total = torch.zeros(())
        for support_x, support_y, query_x, query_y in zip(*batch, strict=True):
            with higher.innerloop_ctx(net, sgd, copy_initial_weights=False) as (adapted, inner):
                for _ in range(problem.inner_steps):
                    inner.step(mse_loss(adapted(support_x), support_y))
                loss = mse_loss(adapted(query_x), query_y) / len(batch[0])
                loss.backward()
                total += loss.detach()
        adam.step()
        return total

    def run(steps: int) -> np.ndarray:
        nonlocal done
        losses = [outer_step(tasks[i % problem.batches]) for i in range(done, done + steps)]
        done += steps
        return as_numpy(losses)

    return run
