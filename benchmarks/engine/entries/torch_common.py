"""What the PyTorch entries share."""

import numpy as np
import torch
from sinusoid import Problem, Weights

Params = tuple[torch.Tensor, ...]  # matrix, bias, matrix, bias, ...
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def predict(params: Params, x: torch.Tensor) -> torch.Tensor:
    for matrix, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
        x = torch.relu(x @ matrix + bias)
    return x @ params[-2] + params[-1]


def mse(params: Params, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.mse_loss(predict(params, x), y)


def flat_params(weights: Weights) -> Params:
    return tuple(torch.tensor(a) for layer in weights for a in layer)


def module(weights: Weights) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for matrix, bias in weights:
        linear = torch.nn.Linear(*matrix.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(matrix.T))
            linear.bias.copy_(torch.tensor(bias))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def batches(problem: Problem) -> list[Batch]:
    arrays = (problem.support_x, problem.support_y, problem.query_x, problem.query_y)
    return list(zip(*(torch.tensor(a).unbind(0) for a in arrays), strict=True))


def as_numpy(losses: list[torch.Tensor]) -> np.ndarray:
    return torch.stack(losses).numpy()
