"""The tables of slides in docs/formats.md say what happens to a file of each kind: read, px for px, or refused."""

import re
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from hviskd.errors import DataError
from hviskd.slides import open_slide
from hviskd.slides.foreign import foreign_kind
from tests.slides.dicoms import write_dicom
from tests.slides.make import RGB, patterned
from tests.slides.tiffs import CM_05, TILED, write_ome, write_pyramid

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
IMAGE = patterned(512, 256, grain_px=8)
LOSSY = 4  # grey levels on average
TIFF_COMPRESSIONS: dict[str, object] = {
    "none": None,
    "LZW": "lzw",
    "PackBits": "packbits",
    "deflate": "zlib",
    "Zstandard": "zstd",
    "LZMA": "lzma",
    "JPEG": "jpeg",
    "JPEG 2000": 34712,
    "JPEG 2000 of Aperio": 33005,
    "WebP": "webp",
    "JPEG XL": "jpegxl",
    "LERC": "lerc",
    "PNG": "png",
    "JPEG XR": 22610,
    "Jetraw": 48124,
}
DICOM_SYNTAXES = {
    "none": (".1", lambda tile: tile.tobytes()),
    "JPEG": (".4.50", None),
    "JPEG 2000": (".4.90", partial(imagecodecs.jpeg2k_encode, codecformat="j2k")),
    "JPEG-LS": (".4.80", imagecodecs.jpegls_encode),
    "HTJ2K": (".4.201", imagecodecs.htj2k_encode),
    "RLE": (".5", imagecodecs.packbits_encode),
}


def section(head: str) -> list[str]:
    """Give the rows of the table below the heading of a section."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n{head}\n")[2].partition("\n#")[0]
    return re.findall(r"^\|.*\|$", text, flags=re.MULTILINE)


def outcome(path: Path, image: RGB = IMAGE, mpp: float | None = None) -> str:
    """Say what happens to a file that shows a known image at 0.5 µm/px."""
    try:
        with open_slide(path, slide_mpp=mpp) as slide:
            slide.verify()
            assert slide.mpp == 0.5
            shown = slide.read(0, 0, *slide.size)
    except DataError as error:
        return "called damaged" if "damaged" in str(error) else "refused"
    assert np.abs(shown.astype(int) - image).mean() < LOSSY
    return "read"


def with_compression(path: Path, number: int, write) -> Path:
    """Write a file with deflate and have its header claim another compression, which no program here writes."""
    write(path, compression="zlib")
    with tifffile.TiffFile(path) as tiff, path.open("r+b") as stream:
        for page in tiff.pages:
            stream.seek(page.tags["Compression"].valueoffset)
            stream.write(number.to_bytes(2, "little"))
    return path


def tiled(path: Path, **options) -> Path:
    return write_pyramid(path, IMAGE, **options)


def ome(path: Path, **options) -> Path:
    return write_ome(path, ("scan", IMAGE), levels=1, **options)


def flat(path: Path, **options) -> Path:
    tifffile.imwrite(path, IMAGE, photometric="rgb", rowsperstrip=64, metadata=None, **options)
    return path


def aperio(path: Path, **options) -> Path:
    said = "Aperio Image Library v12\r\n512x256 (128x128) of test|AppMag = 20|MPP = 0.5"
    tifffile.imwrite(path, IMAGE, photometric="rgb", tile=(128, 128), description=said, metadata=None, **options)
    return path


def dicom(path: Path, name: str) -> Path:
    syntax, encode = DICOM_SYNTAXES[name]
    photometric = "YBR_FULL_422" if encode is None else "RGB"
    more = {} if encode is None else {"encode": encode}
    return write_dicom(path, IMAGE, "1.2.3", syntax=f"1.2.840.10008.1.2{syntax}", photometric=photometric, **more)


def of_compression(folder: Path, name: str) -> list[str]:
    """Say what happens to each kind of file in one compression."""
    cells = []
    for write, suffix in ((tiled, "tif"), (ome, "ome.tif"), (aperio, "svs"), (flat, "flat.tif")):
        number, path = TIFF_COMPRESSIONS.get(name, ""), folder / f"{name}.{suffix}"
        if number == "":
            cells.append("–")
            continue
        if name in ("JPEG XR", "Jetraw"):
            with_compression(path, number, write)
        else:
            lossless = {"compressionargs": {"lossless": True}} if name in ("WebP", "JPEG XL") else {}
            write(path, compression=number, **lossless)
        cells.append(outcome(path, mpp=0.5 if write is flat else None))
    known = name in DICOM_SYNTAXES
    return [*cells, outcome(dicom(folder / name / "a.dcm", name)) if known else "–"]


@pytest.mark.slow
@pytest.mark.slow
def test_the_table_of_compressions_says_what_happens(tmp_path):
    names = dict.fromkeys([*TIFF_COMPRESSIONS, *DICOM_SYNTAXES])
    rows = [f"| {' | '.join([name, *of_compression(tmp_path, name)])} |" for name in names]
    head, _, *listed = section("### Compressions")
    assert head == "| compression | tiled TIFF | OME-TIFF | Aperio SVS | flat TIFF | DICOM |"
    assert listed == rows, "\n".join(rows)


PLANES = np.ascontiguousarray(np.moveaxis(IMAGE, -1, 0))
OPAQUE = np.dstack([IMAGE, np.full(IMAGE.shape[:2], 255, np.uint8)])
DEEP = IMAGE.astype(np.uint16) * 257
BY_PALETTE = np.asarray(Image.fromarray(IMAGE).quantize(256))
PALETTE = np.array(Image.fromarray(IMAGE).quantize(256).getpalette(), np.uint8).reshape(-1, 3)
SHOWN_BY_PALETTE = PALETTE[BY_PALETTE]
FLUORESCENT = {"metadata": {"Channel": {"Name": ["DAPI", "FITC", "Cy3"]}}}

# What the px are → of a tiled TIFF, an OME-TIFF and a PNG: their pixels and more; None where there is no such file.
PIXELS = {
    "RGB, 8 bits": ((IMAGE, {}), (IMAGE, {}), (IMAGE, {})),
    "RGB in three planes": ((PLANES, {"planarconfig": "separate"}), (PLANES, {"axes": "CYX"}), None),
    "RGB with transparency": ((OPAQUE, {"extrasamples": ["unassalpha"]}), None, (OPAQUE, {})),
    "palette": ((BY_PALETTE, {"photometric": "palette"}), None, (BY_PALETTE, {"palette": True})),
    "CMYK": (
        (np.asarray(Image.fromarray(IMAGE).convert("CMYK")), {"photometric": "separated"}),
        None,
        None,
    ),
    "grey": (
        (IMAGE[..., 0], {"photometric": "minisblack"}),
        (IMAGE[..., 0], {"photometric": "minisblack", "axes": "YX"}),
        (IMAGE[..., 0], {}),
    ),
    "RGB, 16 bits": ((DEEP, {}), (DEEP, {}), (DEEP, {})),
    "RGB, numbers with a sign": ((IMAGE.astype(np.int8), {}), (IMAGE.astype(np.int8), {}), None),
    "RGB, floating point": ((IMAGE.astype(np.float32), {}), (IMAGE.astype(np.float32), {}), None),
    "RGB and a channel of unknown meaning": ((OPAQUE, {"extrasamples": ["unspecified"]}), None, None),
    "three channels of fluorescence": (None, (PLANES, {"axes": "CYX", **FLUORESCENT}), None),
    "four channels or more": (
        (np.dstack([OPAQUE, OPAQUE]), {"photometric": "minisblack", "planarconfig": "contig"}),
        (np.concatenate([PLANES, PLANES]), {"axes": "CYX"}),
        None,
    ),
    "px that are not square by over 2 %": (
        (IMAGE, {"resolution": (20_000, 10_000)}),
        (IMAGE, {"mpp": (0.5, 0.25)}),
        None,
    ),
    "stored rotated or mirrored": (
        (IMAGE, {"extratags": [(274, 3, 1, 6, True)]}),
        (IMAGE, {"extratags": [(274, 3, 1, 6, True)]}),
        (IMAGE, {"orientation": 6}),
    ),
}


def write_tiff(path: Path, pixels, **options) -> Path:
    if options.get("photometric") == "palette":
        options["colormap"] = PALETTE.T.astype(np.uint16) * 257
    tifffile.imwrite(path, pixels, **{"photometric": "rgb", "metadata": None, **TILED, **CM_05, **options})
    return path


def write_png(path: Path, pixels, *, palette: bool = False, orientation: int = 1) -> Path:
    if pixels.dtype == np.uint16:
        path.write_bytes(imagecodecs.png_encode(pixels))
        return path
    exif = Image.Exif()
    exif[274] = orientation
    picture = Image.fromarray(pixels)
    if palette:
        picture.putpalette(PALETTE.tobytes())
    picture.save(path, exif=exif)
    return path


@pytest.mark.slow
def test_the_table_of_pixels_says_what_happens(tmp_path):
    rows = []
    for name, files in PIXELS.items():
        cells = []
        for file, write, suffix in zip(
            files, (write_tiff, write_ome, write_png), ("tif", "ome.tif", "png"), strict=True
        ):
            if file is None:
                cells.append("–")
                continue
            pixels, options = file
            path = tmp_path / f"S1.{suffix}"
            given = (("scan", pixels),) if write is write_ome else (pixels,)
            more = {"levels": 1} if write is write_ome else {}
            write(path, *given, **more, **options)
            cells.append(
                outcome(path, SHOWN_BY_PALETTE if name == "palette" else IMAGE, 0.5 if suffix == "png" else None)
            )
        rows.append(f"| {' | '.join([name, *cells])} |")
    head, _, *listed = section("### Pixels")
    assert head == "| what the px are | tiled TIFF | OME-TIFF | flat PNG |"
    assert listed == rows, "\n".join(rows)


def test_the_table_of_kinds_that_are_not_read_says_what_to_do():
    _, _, *listed = section("### Kinds that are not read")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in listed]
    assert len(rows) >= 20
    for suffixes, kind, advice in rows:
        for suffix in re.findall(r"`(\.\w+)`", suffixes):
            assert foreign_kind(Path(f"S1{suffix}")) == f"{kind} ({suffix}) is not read; {advice}"
    from hviskd.slides.foreign import _KINDS

    assert {suffix for row in rows for suffix in re.findall(r"`(\.\w+)`", row[0])} == set(_KINDS)
