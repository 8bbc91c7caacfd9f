"""Slides that say where they lie on the glass: Hamamatsu NDPI and DICOM."""

import io
import itertools
import struct
from collections.abc import Sequence
from pathlib import Path

import pydicom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from tests.slides.make import RGB


def write_ndpi(path: Path, image: RGB, *, nm: tuple[float, float], centre_nm: tuple[int, int]) -> Path:
    """Write a Hamamatsu NDPI of one level.

    Args:
        path: Where to; the suffix should be `.ndpi`.
        image: The scan, uint8 (height, width, 3).
        nm: Width and height of a px.
        centre_nm: Where its centre lies on the glass, from the centre of that.
    """
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=95, subsampling=0)
    jpeg, (height, width) = stream.getvalue(), image.shape[:2]
    at = 8 + len(jpeg)  # of what the tags point to: three bits, the maker, and px per cm twice
    pointed = struct.pack(
        "<3H2x10s4I", 8, 8, 8, b"Hamamatsu\0", *(n for side in nm for n in (round(1e10 / side), 1000))
    )
    lens = struct.unpack("<I", struct.pack("<f", 20))[0]
    tags = [
        *((254, 4, 1, 0), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, at), (259, 3, 1, 7), (262, 3, 1, 6)),
        *((271, 2, 10, at + 8), (273, 4, 1, 8), (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(jpeg))),
        *((282, 5, 1, at + 18), (283, 5, 1, at + 26), (296, 3, 1, 3), (65420, 4, 1, 1), (65421, 11, 1, lens)),
        *((65422, 9, 1, centre_nm[0] % 2**32), (65423, 9, 1, centre_nm[1] % 2**32), (65424, 9, 1, 0)),
    ]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack("<2sHI", b"II", 42, at + len(pointed))
    path.write_bytes(head + jpeg + pointed + directory + bytes(8 + 4 * len(tags)))  # high words
    return path


def write_dicom(
    path: Path, image: RGB, *, mm: tuple[float, float], origin_mm: tuple[float, float], turn: Sequence[float]
) -> pydicom.Dataset:
    """Write a DICOM slide of one level, and return it without its pixels.

    Args:
        path: Where to; the suffix should be `.dcm`.
        image: The scan, uint8 (height, width, 3), with sides that 128 divides.
        mm: Width and height of a px.
        origin_mm: Where the centre of the first px lies, in the slide's coordinate system.
        turn: Six numbers: the directions of a row and of a column.
    """
    height, width = image.shape[:2]
    frames = []
    for top, left in itertools.product(range(0, height, 128), range(0, width, 128)):
        stream = io.BytesIO()
        Image.fromarray(image[top : top + 128, left : left + 128]).save(stream, "JPEG", quality=95, subsampling=0)
        frames.append(stream.getvalue())

    def nested(**values: object) -> list[pydicom.Dataset]:
        item = pydicom.Dataset()
        for name, value in values.items():
            setattr(item, name, value)
        return [item]

    slide = pydicom.Dataset()
    slide.file_meta = pydicom.dataset.FileMetaDataset()
    slide.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    measures = nested(PixelSpacing=[mm[1], mm[0]], SliceThickness=0.001)
    facts = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6",
        **{name: generate_uid() for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")},
        "FrameOfReferenceUID": generate_uid(),
        "Modality": "SM",
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        "PhotometricInterpretation": "YBR_FULL_422",
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "Rows": 128,
        "Columns": 128,
        "NumberOfFrames": len(frames),
        "TotalPixelMatrixColumns": width,
        "TotalPixelMatrixRows": height,
        "TotalPixelMatrixFocalPlanes": 1,
        "DimensionOrganizationType": "TILED_FULL",
        "NumberOfOpticalPaths": 1,
        "ContainerIdentifier": "S",
        "SharedFunctionalGroupsSequence": nested(PixelMeasuresSequence=measures),
        "OpticalPathSequence": nested(OpticalPathIdentifier="1"),
        "TotalPixelMatrixOriginSequence": nested(
            XOffsetInSlideCoordinateSystem=origin_mm[0], YOffsetInSlideCoordinateSystem=origin_mm[1]
        ),
        "ImageOrientationSlide": list(turn),
        "ImagedVolumeWidth": width * mm[0],
        "ImagedVolumeHeight": height * mm[1],
        "ImagedVolumeDepth": 0.001,
        **dict.fromkeys(("PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"), ""),
        "PatientID": "P",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "PixelData": encapsulate(frames),
    }
    for name, value in facts.items():
        setattr(slide, name, value)
    slide["PixelData"].is_undefined_length = True
    path.parent.mkdir(parents=True, exist_ok=True)
    slide.save_as(path, enforce_file_format=True)
    del slide.PixelData
    return slide
