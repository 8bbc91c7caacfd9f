"""Writes small sound slides of the formats that hviskd reads without OpenSlide, and DICOM; `fuzz_seeds.py` calls it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, JPEGBaseline8Bit

_TILE_PX = 128
_SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_CM = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
_COMPRESSIONS = ("jpeg2000", "webp", "jpegxl", "lerc", "png", "zstd", "lzma", "packbits", "lzw")


def write_other_slides(folder: Path, tissue: np.ndarray) -> None:
    """Write OME-TIFFs, tiled TIFFs of every compression and kind of px, and a DICOM slide."""
    label = np.full((96, 128, 3), 230, np.uint8)
    planes = np.ascontiguousarray(np.moveaxis(tissue, -1, 0))
    opaque = np.dstack([tissue, np.full(tissue.shape[:2], 255, np.uint8)])
    _write_ome(folder / "scan.ome.tif", [label, tissue], photometric="rgb", compression="jpeg")
    _write_ome(folder / "plain.ome.tif", [tissue], photometric="rgb", compression="zlib", predictor=True)
    _write_ome(folder / "planes.ome.tif", [planes], axes="CYX", photometric="minisblack", compression="zlib")
    _write_ome(folder / "stack.ome.tif", [np.stack([tissue] * 3)], axes="ZYXS", photometric="rgb", compression="lzw")
    strips = {"photometric": "rgb", "tile": None, "rowsperstrip": 32}
    _write_ome(folder / "strips.ome.tif", [tissue], compression="jpeg2000", **strips)
    for compression in _COMPRESSIONS:
        _write_pyramid(folder / f"{compression}.tif", tissue, photometric="rgb", compression=compression)
    lerc = {"compression": "lerc", "compressionargs": {"compression": "deflate"}}
    _write_pyramid(folder / "lerc-deflate.tif", tissue, photometric="rgb", **lerc)
    _write_pyramid(folder / "planar.tif", planes, levels=1, photometric="rgb", planarconfig="separate")
    _write_pyramid(folder / "alpha.tif", opaque, photometric="rgb", extrasamples=["unassalpha"], compression="zlib")
    indexed = Image.fromarray(tissue).quantize(256)
    colours = np.array(indexed.getpalette(), np.uint16).reshape(256, 3).T * 257
    palette = {"photometric": "palette", "colormap": colours, "compression": "zlib"}
    _write_pyramid(folder / "palette.tif", np.asarray(indexed), **palette)
    said = f"Aperio Image Library v12\r\n{tissue.shape[1]}x{tissue.shape[0]} (128x128) of fuzz|AppMag = 20|MPP = 0.5"
    _write_pyramid(folder / "webp.svs", tissue, photometric="rgb", compression="webp", description=said)
    _write_dicom(folder / "slide.dcm", tissue)


def _write_ome(path: Path, images: list[np.ndarray], *, axes: str = "YXS", **options: Any) -> None:
    """Write images with one level below each; the first of several is a label."""
    options = {"tile": (_TILE_PX, _TILE_PX), **options}
    with tifffile.TiffWriter(path, ome=True) as writer:
        for number, image in enumerate(images):
            name = "label image" if number < len(images) - 1 else "scan"
            scale = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
            said = {"axes": axes, "Name": name, **scale}
            writer.write(image, subifds=1, metadata=said, **options)
            first = axes.index("Y")
            smaller = image[(slice(None),) * first + (slice(None, None, 2),) * 2]
            writer.write(np.ascontiguousarray(smaller), subfiletype=1, metadata=None, **options)


def _write_pyramid(path: Path, image: np.ndarray, *, levels: int = 2, **options: Any) -> None:
    options = {"tile": (_TILE_PX, _TILE_PX), "metadata": None, **_CM, **options}
    with tifffile.TiffWriter(path) as writer:
        for number in range(levels):
            level = image if number == 0 else np.ascontiguousarray(image[:: 2**number, :: 2**number])
            writer.write(level, subfiletype=int(number > 0), **options)


def _write_dicom(path: Path, image: np.ndarray) -> None:
    """Write one level of a slide in JPEG tiles."""
    height, width = image.shape[:2]
    frames = []
    for top in range(0, height, _TILE_PX):
        for left in range(0, width, _TILE_PX):
            stream = io.BytesIO()
            Image.fromarray(image[top : top + _TILE_PX, left : left + _TILE_PX]).save(stream, "JPEG", subsampling=0)
            frames.append(stream.getvalue())
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(_SLIDE_IMAGE), UID("1.2.3.4")
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    data = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = "1.2.3", "1.2.3.1", "SM"
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "YBR_FULL_422", 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.Rows = data.Columns = _TILE_PX
    data.NumberOfFrames, data.NumberOfOpticalPaths, data.TotalPixelMatrixFocalPlanes = len(frames), 1, 1
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
    data.DimensionOrganizationType = "TILED_FULL"
    measures, groups, light = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, light.OpticalPathIdentifier = [0.0005, 0.0005], "1"
    groups.PixelMeasuresSequence = Sequence([measures])
    data.SharedFunctionalGroupsSequence, data.OpticalPathSequence = Sequence([groups]), Sequence([light])
    data.PixelData = encapsulate(frames)
    data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)
