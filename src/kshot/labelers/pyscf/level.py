"""Names of levels of theory: ``method/basis``, checked before anything is computed."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from typing import NamedTuple

from kshot.core.errors import InputError, UnknownNameError
from kshot.core.registry import missing_extra

WAVE_FUNCTIONS = ("hf", "mp2", "ccsd", "ccsd(t)")
DEFAULT = "wb97x-d3bj/def2-svp"
# What people write most, so that suggestions are sensible ones.
COMMON = (
    *("wb97x-d3bj", "wb97m-d3bj", "wb97x-v", "wb97m-v", "wb97x-d4", "b3lyp", "b3lyp-d3bj", "pbe"),
    *("b3lyp-d4", "pbe-d3bj", "pbe0", "pbe0-d3bj", "pbe0-d4", "r2scan", "r2scan-d4", "tpss-d3bj"),
    *("m06-2x", "blyp-d3bj", "bp86-d3bj", "camb3lyp", "lda,vwn"),
)
BASES = (
    *("def2-svp", "def2-svpd", "def2-tzvp", "def2-tzvpp", "def2-tzvpd", "def2-tzvppd"),
    *("def2-qzvp", "def2-qzvpp", "cc-pvdz", "cc-pvtz", "cc-pvqz", "aug-cc-pvdz", "aug-cc-pvtz"),
    *("sto-3g", "3-21g", "6-31g", "6-31g*", "6-31g**", "6-311g**", "ma-def2-svp", "ma-def2-tzvp"),
)


class Level(NamedTuple):
    """A method and a basis set, as PySCF spells them."""

    method: str
    basis: str

    @property
    def is_correlated(self) -> bool:
        """Whether it is a wave function beyond Hartree–Fock."""
        return self.method in WAVE_FUNCTIONS[1:]

    @classmethod
    def parse(cls, name: str) -> Level:
        """Return the level called ``method/basis``.

        Raises:
            UnknownNameError: PySCF knows no such method or basis; close names are suggested.
            MissingExtraError: PySCF, or the dispersion it needs, is not installed.
        """
        method, slash, basis = name.strip().lower().partition("/")
        if not (method and basis):
            got = repr(name) + ("" if slash else " without a basis")
            raise InputError("method/basis", got, f"The default is {DEFAULT!r}.")
        _require("pyscf")
        _check_method(method)
        _check_basis(basis)
        return cls(method, basis)


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise missing_extra("labeler 'pyscf'", package, "dft")


def _check_method(method: str) -> None:
    if method in WAVE_FUNCTIONS:
        return
    from pyscf.dft import libxc
    from pyscf.scf import dispersion

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of wb97x-d4: the fingerprint has it
            functional, _, correction = dispersion.parse_dft(method)
        libxc.parse_xc(functional)
    except (KeyError, ValueError, NotImplementedError) as error:
        known = [*COMMON, *WAVE_FUNCTIONS]
        raise UnknownNameError(_unknown("method", method, known, str(error))) from error
    if correction is not None:
        _require("pyscf.dispersion")
        _check_dispersion(method, functional, correction)


def _check_dispersion(method: str, functional: str, correction: str) -> None:
    """Raise where there are no parameters: PySCF finds out only after the electrons."""
    from pyscf import gto

    helium = gto.M(atom="He", verbose=0)
    try:
        from pyscf.scf.dispersion import get_dispersion

        mean_field = helium.RKS(xc=method)
        get_dispersion(mean_field)
    except (RuntimeError, KeyError, ValueError, NotImplementedError) as error:
        words = f"no dispersion {correction!r} for {functional!r}: {error}"
        raise UnknownNameError(_unknown("method", method, COMMON, words)) from error


def _check_basis(basis: str) -> None:
    from pyscf.gto.basis import ALIAS

    if re.sub(r"[-_ ]", "", basis) in ALIAS:
        return
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an advertisement for another package
            gto.basis.load(basis, "H")
    except (BasisNotFoundError, KeyError, ValueError) as error:
        raise UnknownNameError(_unknown("basis", basis, BASES, "")) from error


def _unknown(kind: str, name: str, known: Iterable[str], words: str) -> str:
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    said = f" ({words.strip()})" if words.strip() else ""
    return f"PySCF has no {kind} called {name!r}{said}.{hint} Common ones: {', '.join(known)}."
