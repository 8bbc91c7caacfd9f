"""TIFFs as other programs write them: OME-TIFFs of several images, pyramids, and everything that may be in a header."""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tests.slides.make import RGB, patterned, reduce_by

CM_05 = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}  # 0.5 µm/px
TILED = {"tile": (128, 128), "compression": "zlib"}


def write_ome(
    path: Path,
    *images: tuple[str, NDArray[Any]],
    levels: int = 2,
    mpp: tuple[float, float] | None = (0.5, 0.5),
    unit: str = "µm",
    axes: str = "YXS",
    writer: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Write an OME-TIFF as Bio-Formats and QuPath do: images with their levels below them (SubIFDs).

    Args:
        path: Where to.
        images: Name and pixels of each; all but labels and macros have levels and µm/px.
        levels: How many.
        mpp: PhysicalSizeX and Y.
        unit: Of these.
        axes: `YXS` for interleaved colours, `CYX` for one page a channel.
        writer: More for tifffile's writer.
        options: More for each image.
    """
    options = {**TILED, "photometric": "rgb" if axes == "YXS" else "minisblack", **options}
    with tifffile.TiffWriter(path, ome=True, **(writer or {})) as out:
        for name, pixels in images:
            flat = any(word in name for word in ("label", "macro"))
            size = {} if mpp is None or flat else {"PhysicalSizeX": mpp[0], "PhysicalSizeY": mpp[1]}
            size |= {f"{key}Unit": unit for key in size}
            below = 0 if flat else levels - 1
            more = options.get("metadata", {}) if not flat else {}
            said = {"metadata": {"axes": axes, "Name": name, **size, **more}}
            out.write(pixels, subifds=below, **{**options, **said})
            for number in range(below):
                smaller = reduced(pixels, 2 ** (number + 1), axes)
                out.write(smaller, subfiletype=1, **{**options, "metadata": None})
    return path


def reduced(pixels: NDArray[Any], factor: int, axes: str = "YXS") -> NDArray[Any]:
    """Give every `factor`-th px, or the means of 8-bit colours."""
    if axes == "CYX":
        return np.ascontiguousarray(pixels[:, ::factor, ::factor])
    return (
        reduce_by(pixels, factor) if pixels.dtype == np.uint8 and pixels.shape[-1] == 3 else pixels[::factor, ::factor]
    )


def write_pyramid(
    path: Path, image: RGB, *, levels: int = 2, writer: dict[str, Any] | None = None, **options: Any
) -> Path:
    """Write a tiled pyramid as libvips does: reduced images follow the whole one in the chain."""
    options = {**TILED, "photometric": "rgb", **CM_05, **options}
    with tifffile.TiffWriter(path, **(writer or {})) as out:
        for number in range(levels):
            level = reduced(image, 2**number)
            out.write(level, subfiletype=int(number > 0), metadata=None, **options)
    return path


SCAN = patterned(600, 400)
LABEL = np.full((500, 700, 3), 230, np.uint8)  # more px than the scan
