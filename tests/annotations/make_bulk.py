"""Writes DICOM bulk annotations by highdicom, of a slide as `write_dicom` returns it."""

from pathlib import Path

import highdicom
import numpy as np
import pydicom
from highdicom.ann import AnnotationGroup, MicroscopyBulkSimpleAnnotations
from pydicom.sr.codedict import codes


def outlined_slide() -> pydicom.Dataset:
    """Make what highdicom asks of a slide."""
    slide = pydicom.Dataset()
    slide.SOPClassUID, slide.Modality, slide.ContainerIdentifier = "1.2.840.10008.5.1.4.1.1.77.1.6", "SM", "S"
    for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(slide, name, pydicom.uid.generate_uid())
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"):
        setattr(slide, name, "")
    slide.AccessionNumber = slide.ReferringPhysicianName = ""
    return slide


def group(number: int, label: str, kind: str, shapes, *, meaning=codes.SCT.Neoplasm, **more) -> AnnotationGroup:
    """Make a group; `shapes` are lists of points."""
    return AnnotationGroup(
        number=number,
        uid=highdicom.UID(),
        label=label,
        annotated_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        annotated_property_type=meaning,
        graphic_type=kind,
        graphic_data=[np.array(points, more.pop("dtype", np.float64)) for points in shapes],
        algorithm_type="MANUAL",
        **more,
    )


def write_bulk(path: Path, slide: pydicom.Dataset, groups, *, in_mm: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    MicroscopyBulkSimpleAnnotations(
        source_images=[slide],
        annotation_coordinate_type="3D" if in_mm else "2D",
        annotation_groups=groups,
        series_instance_uid=highdicom.UID(),
        series_number=2,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="M",
        manufacturer_model_name="M",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)
    return path
