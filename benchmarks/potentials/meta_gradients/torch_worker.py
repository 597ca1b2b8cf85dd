"""A contestant of mace-torch's: ``torch_worker.py POTENTIAL MOLECULE WAY K``; one thread, float32.

Plain autograd, eager, as mace-torch trains. Every inner step has positions of its own: were they
shared, the forces of later steps would have a path through φ, be wrong, and cost exponentially.
"""

import sys
from pathlib import Path

import clock

CHANNEL = clock.answers()

import numpy as np
import sizes
import torch
from torch_model import batch, mace

OUT = Path(__file__).parent / "out"


def model(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    given = sizes.MACE[name]
    return mace(given["num_channels"], given["radial_mlp_hidden"])


def export(name: str) -> None:
    """Write the weights for kshot's side."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "src/kshot/potentials/mace_torch"))
    from export import exported

    np.savez(OUT / f"{name}.npz", **exported(model(name)))


def data(molecule: str) -> list[tuple]:
    arrays = np.load(OUT / f"{molecule}.npz")
    half = len(arrays["positions"]) // 2
    kind = torch.get_default_dtype()
    return [
        (
            batch(arrays["numbers"], arrays["positions"][part]),
            torch.tensor(arrays["energy"][part], dtype=kind),
            torch.tensor(arrays["forces"][part].reshape(-1, 3), dtype=kind),
        )
        for part in (slice(half), slice(half, None))
    ]


def main(name: str, molecule: str, way: str, steps: int) -> None:
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    net = model(name)
    theta = dict(net.named_parameters())
    names = [key for key, value in theta.items() if value.requires_grad]
    support, query = data(molecule)

    def loss(params, part):
        inputs, energy, forces = part
        fresh = inputs["positions"].clone().requires_grad_(True)
        given = ({**inputs, "positions": fresh},)
        out = torch.func.functional_call(net, params, given, {"training": True})
        atoms = len(fresh) / len(energy)
        error = ((out["energy"] - energy) / atoms).square().mean()
        return (
            sizes.ENERGY_WEIGHT * error
            + sizes.FORCES_WEIGHT * (out["forces"] - forces).square().mean()
        )

    def gradient(value, params, *, graph):
        wanted = [params[key] for key in names]
        found = torch.autograd.grad(value, wanted, create_graph=graph, materialize_grads=True)
        return dict(zip(names, found, strict=True))

    def meta_gradient():
        params = dict(theta)
        exact = way == "exact"
        for _ in range(steps):
            grad = gradient(loss(params, support), params, graph=exact)
            moved = {key: params[key] - sizes.RATE * grad[key] for key in names}
            if not exact:
                moved = {key: leaf.detach().requires_grad_(True) for key, leaf in moved.items()}
            params = {**params, **moved}
        value = loss(params, query)
        return value, gradient(value, theta if exact else params, graph=False)

    def training():
        value = loss(theta, support)
        return value, gradient(value, theta, graph=False)

    call = training if way == "training" else meta_gradient
    call()
    value, grad = call()
    clock.serve(
        CHANNEL,
        call,
        parameters=sum(value.numel() for value in net.parameters()),
        loss=float(value),
        norm=float(sum(leaf.square().sum() for leaf in grad.values()) ** 0.5),
    )


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(sys.argv[2])
    else:
        main(*sys.argv[1:4], int(sys.argv[4]))
