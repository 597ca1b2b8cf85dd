"""torch.func with vmap over tasks."""

from collections.abc import Callable

import numpy as np
import torch
from sinusoid import Problem
from torch.func import grad, grad_and_value, vmap

from entries import Run
from entries.torch_common import Batch, Params, as_numpy, batches, flat_params, mse

GradientAndLoss = Callable[..., tuple[Params, torch.Tensor]]


def gradient_and_loss(problem: Problem) -> GradientAndLoss:
    def one_task(
        params: Params, support_x: torch.Tensor, support_y: torch.Tensor, *query: torch.Tensor
    ) -> torch.Tensor:
        for _ in range(problem.inner_steps):
            gradient = grad(mse)(params, support_x, support_y)
            params = tuple(
                p - problem.inner_rate * g for p, g in zip(params, gradient, strict=True)
            )
        return mse(params, *query)

    def query_loss(params: Params, *batch: torch.Tensor) -> torch.Tensor:
        return vmap(one_task, in_dims=(None, 0, 0, 0, 0))(params, *batch).mean()

    return grad_and_value(query_loss)


def build(problem: Problem) -> Run:
    return run_with(problem, gradient_and_loss(problem))


def run_with(problem: Problem, outer: GradientAndLoss) -> Run:
    params = flat_params(problem.weights)
    # fused: one kernel for the whole update, the fastest of torch's Adams for small leaves.
    adam = torch.optim.Adam(params, lr=problem.outer_rate, fused=True)
    tasks: list[Batch] = batches(problem)
    done = 0

    def run(steps: int) -> np.ndarray:
        nonlocal done
        losses = []
        for i in range(done, done + steps):
            gradient, loss = outer(params, *tasks[i % problem.batches])
            for p, g in zip(params, gradient, strict=True):
                p.grad = g
            adam.step()
            losses.append(loss)
        done += steps
        return as_numpy(losses)

    return run
