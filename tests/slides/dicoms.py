"""DICOM slides as archives hand them out: a file for each level, label and annotation, of one series or of several."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, JPEGBaseline8Bit, generate_uid

from tests.slides.make import RGB

SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
ANNOTATIONS = "1.2.840.10008.5.1.4.1.1.91.1"  # microscopy bulk simple annotations


def jpeg(tile: RGB) -> bytes:
    """Compress a tile as scanners do."""
    stream = io.BytesIO()
    Image.fromarray(tile).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def write_dicom(
    path: Path,
    image: RGB,
    series: str,
    *,
    kind: str = "VOLUME",
    mpp: float = 0.5,
    tile: int = 256,
    syntax: str = JPEGBaseline8Bit,
    encode: Callable[[RGB], bytes] = jpeg,
    bits: int = 8,
    photometric: str = "YBR_FULL_422",
) -> Path:
    """Write one level of a slide, whose sides are multiples of the tile's.

    Args:
        path: Where to.
        image: uint8 (height, width, 3), or (height, width) with `photometric` MONOCHROME2.
        series: UID of the series.
        kind: VOLUME, or LABEL, OVERVIEW or THUMBNAIL.
        mpp: µm/px.
        tile: Side of the tiles in px.
        syntax: The transfer syntax.
        encode: What compresses a tile.
        bits: To claim for each sample.
        photometric: To claim for the colours.
    """
    height, width = image.shape[:2]
    corners = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
    frames = [encode(np.ascontiguousarray(image[y : y + tile, x : x + tile])) for y, x in corners]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(SLIDE_IMAGE), generate_uid()
    meta.TransferSyntaxUID = UID(syntax)
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = "1.2.3", series, "SM"
    data.ImageType = ["ORIGINAL", "PRIMARY", kind, "NONE"]
    data.SamplesPerPixel, data.PhotometricInterpretation = (
        image.shape[2] if image.ndim > 2 else 1,
        photometric,
    )
    data.PlanarConfiguration, data.PixelRepresentation = 0, 0
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    data.Rows = data.Columns = tile
    data.NumberOfFrames, data.NumberOfOpticalPaths = len(frames), 1
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows, data.TotalPixelMatrixFocalPlanes = width, height, 1
    data.DimensionOrganizationType = "TILED_FULL"
    measures, groups, light, origin = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [mpp / 1000, mpp / 1000], 0.001
    groups.PixelMeasuresSequence = Sequence([measures])
    light.OpticalPathIdentifier = "1"
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0.0
    data.SharedFunctionalGroupsSequence = Sequence([groups])
    data.OpticalPathSequence = Sequence([light])
    data.TotalPixelMatrixOriginSequence = Sequence([origin])
    data.ImagedVolumeWidth, data.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
    data.ImagedVolumeDepth, data.FrameOfReferenceUID, data.ContainerIdentifier = 0.001, generate_uid(), path.stem
    data.PixelData = encapsulate(frames) if meta.TransferSyntaxUID.is_compressed else b"".join(frames)
    data["PixelData"].is_undefined_length = meta.TransferSyntaxUID.is_compressed
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_object(path: Path, series: str, sop_class: str = ANNOTATIONS, *, implicit: bool = False) -> Path:
    """Write a DICOM object without an image, with a sequence of undefined length before its series is told."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), generate_uid()
    meta.TransferSyntaxUID = UID("1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1")
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    inner, item = Dataset(), Dataset()
    inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "1", "99T", "x" * 60
    item.PurposeOfReferenceCodeSequence = Sequence([inner])
    data.ReferencedSeriesSequence = Sequence([item])
    for element in (data["ReferencedSeriesSequence"], item["PurposeOfReferenceCodeSequence"]):
        element.is_undefined_length = True
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = "1.2.3", series, "ANN"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path
