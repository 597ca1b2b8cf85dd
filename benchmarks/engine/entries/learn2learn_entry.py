"""learn2learn's MAML wrapper: clone, adapt, backward, task by task, as its examples do."""

import importlib.util
import sys
import types

import numpy as np
import torch
from sinusoid import Problem
from torch.nn.functional import mse_loss

from entries import NotInstalledError, Run
from entries.torch_common import as_numpy, batches, module


def _maml() -> type:
    spec = importlib.util.find_spec("learn2learn")
    if spec is None:
        raise NotInstalledError("learn2learn is not installed")
    # The package's own __init__ also imports its vision and gym parts, whose dependencies
    # (torchvision, gym) MAML does not touch: enter the package without running that file.
    package = types.ModuleType("learn2learn")
    package.__path__ = spec.submodule_search_locations
    sys.modules["learn2learn"] = package
    return importlib.import_module("learn2learn.algorithms.maml").MAML


def build(problem: Problem) -> Run:
    maml = _maml()(module(problem.weights), lr=problem.inner_rate, first_order=False)
    adam = torch.optim.Adam(maml.parameters(), lr=problem.outer_rate)
    tasks = batches(problem)
    done = 0

    def outer_step(batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        adam.zero_grad()
        total = torch.zeros(())
        for support_x, support_y, query_x, query_y in zip(*batch, strict=True):
            learner = maml.clone()
            for _ in range(problem.inner_steps):
                learner.adapt(mse_loss(learner(support_x), support_y))
            loss = mse_loss(learner(query_x), query_y) / len(batch[0])
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
