"""What ``kshot families sample`` does: draw, label, write, and say what failed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kshot.atoms import Failure, Labeler, Labelled, Structure
from kshot.core.whole import whole
from kshot.families import Family


class Request(NamedTuple):
    """What is asked for; see the options of the command."""

    n: int
    temperature: float
    seed: int
    sampler: str
    engine: str
    ledger: Path
    out: Path


class Failed(NamedTuple):
    """A member without frames, or a frame without labels (``frame`` counts from 0)."""

    family: str
    member: str
    stage: str
    reason: str
    detail: str
    frame: int | None = None


def sample_and_label(families: Sequence[Family], request: Request) -> Iterator[str]:
    """Do it, and yield lines that say what came of it."""
    from kshot.atoms.files import write
    from kshot.labelers import Ledger, label_all, labeler

    engine = labeler(request.engine)
    with Ledger(request.ledger) as ledger:  # opened first: a wrong one is told before any work
        frames, failed = _draw_all(families, engine, request)
        results = label_all(frames, engine, ledger)
    good = []
    for number, (frame, result) in enumerate(zip(frames, results, strict=True)):
        if isinstance(result, Failure):
            who = (frame.family, str(frame.info["member"]), "label")
            failed.append(Failed(*who, result.reason, result.detail, number % request.n))
        else:
            good.append(Labelled(frame, result))
    write(request.out, good)
    yield f"{len(good)} of {len(frames)} configurations labelled, in {request.out}"
    yield from _failures(failed, request.out)


def _draw_all(
    families: Sequence[Family], engine: Labeler, request: Request
) -> tuple[list[Structure], list[Failed]]:
    from kshot.core.bars import bar
    from kshot.families.catalogue.draw import draw

    frames, failed = [], []
    kept = request.ledger.with_name(f"{request.ledger.name}.frames")
    with bar("drawing", sum(len(family.members) for family in families)) as advance:
        for family in families:
            for member in family.members:
                drawn = draw(
                    family,
                    member,
                    request.n,
                    labeler=engine,
                    sampler=request.sampler,
                    temperature=request.temperature,
                    seed=request.seed,
                    folder=kept,
                )
                if isinstance(drawn, Failure):
                    who = (family.name, member.name, "draw")
                    failed.append(Failed(*who, drawn.reason, drawn.detail))
                else:
                    frames += drawn
                advance(1, f"{len(failed)} failed" if failed else "")
    return frames, failed


def failures_path(out: Path) -> Path:
    """Return where failures are written, beside an output."""
    return out.with_name(f"{out.name}.failures.json")


def _failures(failed: Sequence[Failed], out: Path) -> Iterator[str]:
    """Write failures beside the output (nothing if there are none), and count them."""
    path = failures_path(out)
    if not failed:
        path.unlink(missing_ok=True)
        yield "no failures"
        return
    lines = ",\n".join(json.dumps(item._asdict()) for item in failed)
    with whole(path) as part:
        part.write_text(f"[\n{lines}\n]\n")
    yield f"{len(failed)} failures, in {path}:"
    counts = Counter((item.family, item.member, item.stage, item.reason) for item in failed)
    for (family, member, stage, reason), count in counts.items():
        yield f"  {family}/{member}: {count} × {reason} ({stage})"
