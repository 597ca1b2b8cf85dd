"""TorchOpt's functional optimisers, inner and outer, with torch.func's vmap over tasks."""

import numpy as np
import torch
import torchopt
from sinusoid import Problem
from torch.func import grad, grad_and_value, vmap

from entries import Run
from entries.torch_common import Params, as_numpy, batches, flat_params, mse


def build(problem: Problem) -> Run:
    sgd = torchopt.sgd(problem.inner_rate)
    adam = torchopt.adam(problem.outer_rate)

    def one_task(
        params: Params, support_x: torch.Tensor, support_y: torch.Tensor, *query: torch.Tensor
    ) -> torch.Tensor:
        state = sgd.init(params)
        for _ in range(problem.inner_steps):
            gradient = grad(mse)(params, support_x, support_y)
            updates, state = sgd.update(gradient, state, params=params, inplace=False)
            params = torchopt.apply_updates(params, updates, inplace=False)
        return mse(params, *query)

    def query_loss(params: Params, *batch: torch.Tensor) -> torch.Tensor:
        return vmap(one_task, in_dims=(None, 0, 0, 0, 0))(params, *batch).mean()

    outer = grad_and_value(query_loss)
    params = flat_params(problem.weights)
    state = adam.init(params)
    tasks = batches(problem)
    done = 0

    def run(steps: int) -> np.ndarray:
        nonlocal params, state, done
        losses = []
        for i in range(done, done + steps):
            gradient, loss = outer(params, *tasks[i % problem.batches])
            updates, state = adam.update(gradient, state, params=params, inplace=True)
            params = torchopt.apply_updates(params, updates, inplace=True)
            losses.append(loss)
        done += steps
        return as_numpy(losses)

    return run
