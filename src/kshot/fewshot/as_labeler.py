"""A model in the place of an engine: samplers walk on it for nothing."""

from __future__ import annotations

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.manifest import code_versions
from kshot.potentials.model import Model

ANYTHING = ("charges", "multiplicities", "levels")


class ModelLabeler(Labeler):
    """Labels of a model; see `kshot.potentials.model.Model.predict`.

    Args:
        model: what predicts; charges, spins and levels it has not seen are let through, as frames
            are to be labelled by something better.
    """

    def __init__(self, model: Model) -> None:
        """Keep the model."""
        self._model = model

    @property
    def fingerprint(self) -> Fingerprint:
        """The model's digest."""
        settings = {"digest": self._model.digest[:16]}
        return Fingerprint("kshot", code_versions(("kshot",))["kshot"], "model", "", settings)

    def label(self, structure: Structure) -> Labels | Failure:
        """Return the model's energy and forces."""
        return self._model.predict([structure], allow=ANYTHING)[0]
