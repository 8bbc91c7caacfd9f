"""The rule by which slides are read at their own µm/px instead of being resampled, and the notes that say so."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hviskd.segmentation.settings import Request
from hviskd.slides import Slide

_SAME_SCALE = 0.01  # relative; scanners state their pixel size no better, and resampling costs as much as decoding
_ROUNDING = 1e-9  # so that 0.2525 is within 1 % of 0.25 in binary numbers, too
_NOTE = re.compile(r"read at its own ([\d.e+-]+) µm/px, not resampled to ([\d.e+-]+) µm/px")


def at_own_scale(request: Request, slide: Slide) -> Request:
    """Return a request at the µm/px of a level that differs by 1 % at most, so that its px are read as they are."""
    scales = [slide.mpp * level.downsample for level in slide.levels if float(level.downsample).is_integer()]
    nearest = min(scales, key=lambda mpp: abs(mpp / request.mpp - 1))
    same = math.isclose(nearest, request.mpp, rel_tol=1e-6)
    near = abs(nearest / request.mpp - 1) <= _SAME_SCALE + _ROUNDING
    return replace(request, mpp=nearest) if near and not same else request


def own_scale_notes(read_mpp: float, model_mpp: float) -> list[str]:
    """Return the note on a slide that was read at another µm/px than the Model's; none where six digits are equal."""
    read, model = f"{read_mpp:.6g}", f"{model_mpp:.6g}"
    return [] if read == model else [f"read at its own {read} µm/px, not resampled to {model} µm/px"]


def model_mpp(read_mpp: float, notes: Sequence[str]) -> float:
    """Return the µm/px of a Model's tiles from the µm/px that a slide was read at, and the notes on its map."""
    found = [match for note in notes if (match := _NOTE.fullmatch(note))]
    return float(found[0][2]) if found else read_mpp


def cohort_notes(noted: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Return `slide: note` for each note on a slide, and first one line for all slides read at their own µm/px.

    Args:
        noted: Slides with the notes on their maps.
    """
    others, own = [], dict[str, list[str]]()
    for name, notes in noted:
        for note in notes:
            if match := _NOTE.fullmatch(note):
                own.setdefault(match[2], []).append(match[1])
            else:
                others.append(f"{name}: {note}")
    lines = []
    for wanted, read in own.items():
        least, most = min(read, key=float), max(read, key=float)
        scales = least if least == most else f"{least} to {most}"
        which = "1 slide was read at its" if len(read) == 1 else f"{len(read):,} slides were read at their"
        lines.append(f"{which} own {scales} µm/px, not resampled to {wanted} µm/px")
    return lines + others
