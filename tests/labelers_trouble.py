"""Engines that misbehave, in a module that worker processes can import."""

import os
import signal
import sys
import time

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.errors import InputError


class Trouble(Labeler):
    """Does to structures of family `name` what `name` says; labels the others with zeros."""

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint("trouble", "1", "none")

    def label(self, structure: Structure) -> Labels | Failure:
        match structure.family:
            case "hang":
                time.sleep(60)
            case "die":
                sys.stderr.write("last words\n")
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(3)
            case "swell":
                hoard = [np.ones(2**17) for _ in range(10**5)]  # 1 MiB each, a hundred GiB in all
                return Failure("crash", f"not stopped at {len(hoard)} MiB")
            case "wrong":
                raise InputError("a sound caller", "this one", "Call it better.")
        return Labels(0.0, np.zeros_like(structure.positions), fingerprint=self.fingerprint)


class WrongForces(Labeler):
    """Gives gradients as forces."""

    def __init__(self, labeler: Labeler) -> None:
        self._labeler = labeler

    @property
    def fingerprint(self) -> Fingerprint:
        return self._labeler.fingerprint

    def label(self, structure: Structure) -> Labels | Failure:
        found = self._labeler.label(structure)
        if isinstance(found, Failure):
            return found
        return Labels(found.energy, -found.forces, fingerprint=self.fingerprint)
