#!/usr/bin/env bash
# pydicom keeps a copy of a list that is given as a sequence: what is appended to the list later is not in the file.
#
# `ds.AnnotationGroupSequence = groups` with an empty list, filled in a loop afterwards, writes a file with an empty
# sequence; there is no error, and highdicom and viewers open it as a file without annotations. The items are shared, so
# changing one that was in the list does show. Assign the list when it is complete, or append to the dataset's attribute.
#
# Seen with pydicom 3.0.1, numpy 2.2.6:
#   given an empty list, filled later: 0 items in the file of 2
#   assigned when complete: 2 items in the file of 2
#   appended to the attribute: 2 items in the file of 2
#
# Ends with 0 while this is so, with 1 when it changes.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.1 numpy==2.2.6
cd "$place"
venv/bin/python - <<'PY'
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian


def group(label):
    item = pydicom.Dataset()
    item.AnnotationGroupLabel = label
    return item


def in_file(fill):
    """Write a file whose sequence `fill` makes, and count its items when it is read again."""
    content = pydicom.Dataset()
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content.SOPClassUID, content.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.91.1", "1.2.3"
    fill(content)
    content.save_as("a.dcm", enforce_file_format=True)
    return len(pydicom.dcmread("a.dcm").AnnotationGroupSequence)


def early(content):
    content.AnnotationGroupSequence = groups = []
    groups += [group("tumour"), group("stroma")]


def complete(content):
    content.AnnotationGroupSequence = [group("tumour"), group("stroma")]


def appended(content):
    content.AnnotationGroupSequence = []
    content.AnnotationGroupSequence.append(group("tumour"))
    content.AnnotationGroupSequence.append(group("stroma"))


found = [in_file(fill) for fill in (early, complete, appended)]
for text, items in zip(
    ("given an empty list, filled later", "assigned when complete", "appended to the attribute"), found, strict=True
):
    print(f"{text}: {items} items in the file of 2")
assert found == [0, 2, 2], found
PY
