"""The stain of a slide in a few numbers: fitted once on its tissue, and stored as JSON.

Two descriptions: Macenko's (the colours of haematoxylin and eosin, and how much of each) and Reinhard's (mean and
spread of the colours in Lab).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Floats
from hviskd.errors import DataError
from hviskd.slides.lab import rgb_to_lab
from hviskd.storage import read_json, write_json

StainMethod = Literal["macenko", "reinhard"]
Pair = tuple[float, float]
Triple = tuple[float, float, float]

LIGHT = 240.0  # the grey level of empty glass in Macenko's reference implementation
_STAINED = 0.15  # optical density (natural logarithm) that every channel of a stained pixel reaches
_ROBUST_PERCENT = 1.0  # share of pixels at either end that may be noise
_MIN_PIXELS = 1000
_MIN_SPREAD = 1e-6  # variance of density across the line that one stain's colours lie on
_MIN_ANGLE_DEGREES = 5.0  # haematoxylin and eosin lie 10 to 30 degrees apart
_MIN_CONCENTRATION = 0.1  # of the more strongly stained pixels; 1 to 2 is usual
_MIN_ABSORPTION = -0.1  # of one channel, in a colour of length 1; eosin's red may come out a little below zero
_MIN_LAB_SD = 0.5


@dataclass(frozen=True)
class Stain:
    """The result of a stain fit, or the reason why it failed.

    Attributes:
        method: How it was fitted.
        pixels: How many pixels the fit was given.
        vectors: Macenko: optical density of red, green and blue (rows) in haematoxylin and eosin (columns), each
            column of length 1.
        max_concentrations: Macenko: 99th percentile of the amount of haematoxylin and of eosin.
        lab_mean: Reinhard: mean of L, a and b.
        lab_sd: Reinhard: standard deviation of L, a and b.
        problem: Why there is no fit; empty if there is one. A slide with a problem is left as it is.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "allow_inf_nan": False}

    method: StainMethod
    pixels: int
    vectors: tuple[Pair, Pair, Pair] | None = None
    max_concentrations: Pair | None = None
    lab_mean: Triple | None = None
    lab_sd: Triple | None = None
    problem: str = ""

    def __post_init__(self) -> None:
        """Check that a fit without a problem has the numbers of its method.

        Raises:
            ValueError: It has not, or they are no stain.
        """
        if self.problem:
            return
        if self.method == "macenko":
            if self.vectors is None or self.max_concentrations is None:
                raise ValueError("a Macenko stain needs vectors and max_concentrations")
            fault = _macenko_fault(np.array(self.vectors), np.array(self.max_concentrations))
        else:
            if self.lab_mean is None or self.lab_sd is None:
                raise ValueError("a Reinhard stain needs lab_mean and lab_sd")
            fault = _reinhard_fault(np.array(self.lab_sd))
        if fault:
            raise ValueError(fault)


def fit_macenko(pixels: NDArray[np.uint8]) -> Stain:
    """Find the colours of the two stains, and the amount of each.

    The two directions in which optical density varies most span a plane; the stains are the robust extremes of the
    pixels' angles in it (Macenko et al. 2009), and their amounts follow by least squares. Glass does not disturb
    the colours, but it lowers the amounts: give tissue.

    Args:
        pixels: RGB uint8, (N, 3) or (height, width, 3).

    Returns:
        The stain; with a `problem` where there are fewer than 1,000 stained pixels, or no two stains in them.
    """
    density = -np.log((pixels.reshape(-1, 3).astype(np.float64) + 1) / LIGHT)
    stained = density[(density >= _STAINED).all(axis=1)]
    if len(stained) < _MIN_PIXELS:
        return Stain("macenko", len(density), problem=f"only {len(stained)} stained pixels, {_MIN_PIXELS} are needed")
    try:
        spread, directions = np.linalg.eigh(np.cov(stained.T))
    except np.linalg.LinAlgError as error:
        return Stain("macenko", len(density), problem=f"the fit did not converge ({error})")
    if spread[1] < _MIN_SPREAD:
        return Stain("macenko", len(density), problem="one stain only: all colours are on one line")
    plane = directions[:, 1:]
    along = stained @ plane
    angles = np.percentile(np.arctan2(along[:, 1], along[:, 0]), [_ROBUST_PERCENT, 100 - _ROBUST_PERCENT])
    extremes = plane @ np.stack([np.cos(angles), np.sin(angles)])
    vectors = extremes[:, np.argsort(-extremes[0], kind="stable")]  # haematoxylin absorbs more red than eosin
    if fault := _macenko_fault(vectors, np.full(2, np.inf)):
        return Stain("macenko", len(density), problem=fault)
    concentrations = np.percentile(np.linalg.pinv(vectors) @ density.T, 100 - _ROBUST_PERCENT, axis=1)
    if fault := _macenko_fault(vectors, concentrations):
        return Stain("macenko", len(density), problem=fault)
    red, green, blue = ((float(row[0]), float(row[1])) for row in vectors)
    amounts = float(concentrations[0]), float(concentrations[1])
    return Stain("macenko", len(density), vectors=(red, green, blue), max_concentrations=amounts)


def fit_reinhard(pixels: NDArray[np.uint8]) -> Stain:
    """Compute mean and standard deviation of the colours in Lab (Reinhard et al. 2001, with CIE Lab for their lαβ).

    Args:
        pixels: RGB uint8, (N, 3) or (height, width, 3); give tissue, for glass counts as a colour too.

    Returns:
        The stain; with a `problem` where there are fewer than 1,000 pixels, or all are of one colour.
    """
    flat = pixels.reshape(-1, 3)
    if len(flat) < _MIN_PIXELS:
        return Stain("reinhard", len(flat), problem=f"only {len(flat)} pixels, {_MIN_PIXELS} are needed")
    lab = rgb_to_lab(flat)
    mean, sd = lab.mean(axis=0), lab.std(axis=0)
    if fault := _reinhard_fault(sd):
        return Stain("reinhard", len(flat), problem=fault)
    return Stain("reinhard", len(flat), lab_mean=_triple(mean), lab_sd=_triple(sd))


FITS: dict[StainMethod, Callable[[NDArray[np.uint8]], Stain]] = {"macenko": fit_macenko, "reinhard": fit_reinhard}


def stain_to_json(stain: Stain) -> dict[str, object]:
    """Convert a stain to JSON values."""
    return asdict(stain)


def stain_from_json(content: object, origin: str) -> Stain:
    """Make a stain from the result of `stain_to_json`.

    Raises:
        DataError: It is no stain; the message begins with `origin`.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Stain).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "stain"
        raise DataError(f"{origin}: not a stored stain ({where}: {first['msg']}); fit it again") from error


def write_stain(path: Path | str, stain: Stain) -> None:
    """Write a stain as a JSON file."""
    write_json(Path(path), stain_to_json(stain))


def read_stain(path: Path | str) -> Stain:
    """Read a stain from a JSON file.

    Raises:
        DataError: The file is missing or holds no stain.
    """
    return stain_from_json(read_json(Path(path)), str(path))


def _macenko_fault(vectors: Floats, concentrations: Floats) -> str:
    """Return why two directions (columns) and their amounts cannot be haematoxylin and eosin."""
    lengths = np.linalg.norm(vectors, axis=0)
    if not (np.isfinite(vectors).all() and np.allclose(lengths, 1, atol=1e-3)) or vectors.min() < _MIN_ABSORPTION:
        return "the fitted colours absorb no light"
    apart = np.degrees(np.arccos(np.clip(vectors[:, 0] @ vectors[:, 1], -1, 1)))
    if apart < _MIN_ANGLE_DEGREES:
        return f"one stain only: the fitted colours are {apart:.1f}° apart"
    if not (concentrations >= _MIN_CONCENTRATION).all():
        return "one stain only: almost none of the other"
    return ""


def _reinhard_fault(sd: Floats) -> str:
    return "" if (sd >= _MIN_LAB_SD).all() else "all pixels have the same colour"


def _triple(values: Floats) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
