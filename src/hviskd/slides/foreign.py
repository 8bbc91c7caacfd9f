"""Recognises slides and images in unsupported formats, so that none is skipped silently."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_QUPATH = "export a pyramidal OME-TIFF with QuPath or Bio-Formats"
_VENDOR = "export a pyramidal TIFF with the scanner's own program"
_AS_RGB = "save it as TIFF, PNG or JPEG in 8-bit RGB"

# Suffix → what it is, and what to do.
_KINDS: dict[str, tuple[str, str]] = {
    ".vsi": ("Olympus/Evident VSI", _QUPATH),
    ".isyntax": ("Philips iSyntax", _VENDOR),
    ".i2syntax": ("Philips iSyntax", _VENDOR),
    ".qptiff": ("Akoya QPTIFF", f"{_QUPATH}, or, of a stained section, give the file by its name"),
    ".zvi": ("Zeiss ZVI", _QUPATH),
    ".lif": ("Leica LIF", _QUPATH),
    ".lsm": ("Zeiss LSM", _QUPATH),
    ".nd2": ("Nikon ND2", _QUPATH),
    ".oir": ("Olympus OIR", _QUPATH),
    ".ims": ("Imaris", _QUPATH),
    ".afi": ("Aperio fluorescence", _QUPATH),
    ".tmap": ("TissueMap", _VENDOR),
    ".kfb": ("KFBIO", _VENDOR),
    ".kfbf": ("KFBIO fluorescence", _VENDOR),
    ".sdpc": ("SQRay SDPC", _VENDOR),
    ".dyqx": ("SQRay DYQX", _VENDOR),
    ".mdsx": ("Motic MDSX", _VENDOR),
    ".mds": ("Motic MDS", _VENDOR),
    ".dsi": ("Unic DSI", _VENDOR),
    ".tron": ("InteneSoft TRON", _VENDOR),
    ".zarr": ("OME-Zarr", _QUPATH),
    ".zip": ("Zip archive", "unpack it"),
    ".jp2": ("JPEG 2000", _AS_RGB),
    ".j2k": ("JPEG 2000", _AS_RGB),
    ".jpx": ("JPEG 2000", _AS_RGB),
    ".jxl": ("JPEG XL", _AS_RGB),
    ".webp": ("WebP", _AS_RGB),
    ".heic": ("HEIC", _AS_RGB),
    ".bmp": ("Windows bitmap", _AS_RGB),
}
_FOLDERS = (".zarr",)
_UNSAID = (".zip",)  # in a folder, these are seldom slides


def foreign_kind(path: Path) -> str:
    """Name the unsupported format of a file or folder, by its suffix, and say what to do; empty if it has none."""
    kind = _KINDS.get(path.suffix.lower())
    return "" if kind is None else f"{kind[0]} ({path.suffix}) is not read; {kind[1]}"


def is_foreign(path: Path) -> bool:
    """Return whether something found in a folder looks like a slide in an unsupported format."""
    suffix = path.suffix.lower()
    return suffix in _KINDS and suffix not in _UNSAID and path.is_dir() == (suffix in _FOLDERS)


def foreign_notes(paths: Iterable[Path]) -> list[str]:
    """Return one note per unsupported format: how many files were found, and what to do."""
    found = list(paths)
    counts = Counter(path.suffix.lower() for path in found)
    example = {path.suffix.lower(): path.name for path in reversed(found)}
    notes = []
    for suffix, count in sorted(counts.items()):
        name, advice = _KINDS[suffix]
        named = example[suffix] if count == 1 else f"{count:,} files {suffix} ({example[suffix]}, …)"
        notes.append(f"left out, since {name} is not read: {named}; {advice}")
    return notes
