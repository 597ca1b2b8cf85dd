"""A small SO3LR with random weights, by so3krates-torch: tests/data/so3lr_random.model.

kshot's tests read and convert it; it is committed, unlike the weights of SO3LR.
"""

from pathlib import Path

import torch
from so3krates_torch.modules.models import SO3LR

MODEL = Path(__file__).parents[3] / "tests" / "data" / "so3lr_random.model"


def model() -> SO3LR:
    torch.manual_seed(0)
    return SO3LR(
        r_max=4.5,
        num_radial_basis_fn=8,
        degrees=[1, 2, 3],
        num_features=12,
        num_heads=2,
        num_layers=2,
        num_elements=118,
        avg_num_neighbors=8.0,
        energy_regression_dim=12,
        radial_basis_fn="bernstein",
        layer_normalization_1=True,
        layer_normalization_2=True,
        residual_mlp_1=True,
        use_charge_embed=True,
        use_spin_embed=True,
        cutoff_fn="phys",
        energy_learn_atomic_type_shifts=True,
        energy_learn_atomic_type_scales=True,
        r_max_lr=None,
    )


def spread(net: SO3LR) -> None:
    """Move what starts as zeros and ones, so that nothing can be forgotten unnoticed."""
    with torch.no_grad():
        for name, weight in net.named_parameters():
            noise = torch.randn_like(weight)
            if name.startswith("zbl"):
                weight += 0.05 * noise
            elif ("norm" in name and "weight" in name) or "scales" in name:
                weight.copy_(1 + 0.2 * noise)
            elif "v_shift" in name:
                weight.copy_(0.8 + 0.1 * noise)
            elif "bias" in name or "shifts" in name:
                weight.copy_(0.2 * noise)


if __name__ == "__main__":
    net = model()
    spread(net)
    torch.save(net, MODEL)
