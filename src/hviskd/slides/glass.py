"""Derives the coordinate system of the glass from the scanner's metadata; for `OpenSlideFile`."""

import math
from collections.abc import Mapping

import numpy as np

from hviskd.slide_frame import Glass

_ORIGIN = "dicom.TotalPixelMatrixOriginSequence[0].{}OffsetInSlideCoordinateSystem"
_SPACING = "dicom.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing[{}]"


def glass_of(properties: Mapping[str, str], size: tuple[int, int]) -> Glass | None:
    """Return the coordinate system of the glass, from a slide's OpenSlide properties; None if they lack it.

    Args:
        properties: By name.
        size: Width and height in level-0 px.
    """
    vendor = properties.get("openslide.vendor")
    if vendor == "hamamatsu":
        return _hamamatsu(properties, size)
    return _dicom(properties) if vendor == "dicom" else None


def _hamamatsu(properties: Mapping[str, str], size: tuple[int, int]) -> Glass | None:
    """The centre of the scan is given in nm from the centre of the glass."""
    values = [_number(properties, f"hamamatsu.{axis}OffsetFromSlideCentre") for axis in "XY"]
    values += [_number(properties, f"openslide.mpp-{axis}") for axis in "xy"]
    x_nm, y_nm, mpp_x, mpp_y = values
    if not all(map(math.isfinite, values)) or min(mpp_x, mpp_y) <= 0:
        return None
    nm_x, nm_y = 1000 * mpp_x, 1000 * mpp_y
    return Glass("hamamatsu", (1 / nm_x, 0, size[0] / 2 - x_nm / nm_x), (0, 1 / nm_y, size[1] / 2 - y_nm / nm_y))


def _dicom(properties: Mapping[str, str]) -> Glass | None:
    """The centre of the first px is given in mm, and which way rows and columns run.

    See DICOM PS3.3, C.7.6.16.2.19 and C.8.12.4.1.1; a px has its whole number at its corner here, at its centre there.
    """
    origin = np.array([_number(properties, _ORIGIN.format(axis)) for axis in "XY"])
    down_mm, across_mm = (_number(properties, _SPACING.format(place)) for place in (0, 1))
    turn = [_number(properties, f"dicom.ImageOrientationSlide[{place}]") for place in (0, 1, 3, 4)]
    image = properties.get("dicom.SOPInstanceUID", "")
    steps = np.array([[turn[0] * across_mm, turn[2] * down_mm], [turn[1] * across_mm, turn[3] * down_mm]])
    if not np.isfinite(steps).all() or not np.isfinite(origin).all() or abs(np.linalg.det(steps)) < 1e-12:
        return None
    back = np.linalg.inv(steps)
    (xx, xy), (yx, yy) = back.tolist()
    x_px, y_px = (0.5 - back @ origin).tolist()
    return Glass("dicom", (xx, xy, x_px), (yx, yy, y_px), image)


def _number(properties: Mapping[str, str], name: str) -> float:
    try:
        return float(properties.get(name, "nan"))
    except ValueError:
        return math.nan
