"""OME-TIFFs and tiled TIFFs: the scan is found, in its own colours, at its own scale, or refused in words."""

import io
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from hviskd.errors import DataError
from hviskd.slides import open_slide
from hviskd.slides.piece_level import CACHE_BYTES, _decoded_pieces
from tests.slides.make import patterned, reduce_by
from tests.slides.tiffs import CM_05, LABEL, SCAN, TILED, write_ome, write_pyramid


def whole(path, **options) -> np.ndarray:
    with open_slide(path, **options) as slide:
        slide.verify()
        return slide.read(0, 0, *slide.size)


@pytest.mark.parametrize("order", ["label first", "label in the middle", "scan first"])
def test_of_several_images_the_scan_is_taken_and_label_and_macro_never(tmp_path, order):
    label, scan, macro = ("label image", LABEL), ("scan", SCAN), ("S1 - macro", LABEL[::2])
    listed = {"label first": (label, scan, macro), "label in the middle": (macro, label, scan)}
    path = write_ome(tmp_path / "S1.ome.tif", *listed.get(order, (scan, label, macro)))
    with open_slide(path) as slide:
        assert (slide.size, slide.mpp, slide.vendor, slide.notes) == ((600, 400), 0.5, "ome-tiff", ())
        assert [level.downsample for level in slide.levels] == [1, 2]
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)
        assert np.array_equal(slide.read(0, 0, 300, 200, 1.0), reduce_by(SCAN, 2))


def test_a_label_alone_is_no_slide(tmp_path):
    with pytest.raises(DataError, match=r"S1\.ome\.tif: it holds a label or macro image, and no scan"):
        open_slide(write_ome(tmp_path / "S1.ome.tif", ("label", LABEL)), slide_mpp=0.5)


def test_other_scans_in_the_file_are_named(tmp_path):
    small = patterned(300, 256, seed=3)
    path = write_ome(tmp_path / "S1.ome.tif", ("scene 1", small), ("scene 2", SCAN), ("scene 3", small))
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)
        (note,) = slide.notes
    assert note == ("the file holds other images, which are not read: scene 1 (300 × 256 px), scene 3 (300 × 256 px)")


@pytest.mark.parametrize(
    ("unit", "factor"), [("µm", 1), ("nm", 1000), ("mm", 1e-3), ("cm", 1e-4), ("m", 1e-6), ("in", 1 / 25_400)]
)
def test_the_physical_size_has_a_unit(tmp_path, unit, factor):
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), mpp=(0.25 * factor, 0.25 * factor), unit=unit)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.25)


def test_without_a_physical_size_the_tiff_resolution_counts(tmp_path):
    with open_slide(write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), mpp=None, **CM_05)) as slide:
        assert slide.mpp == pytest.approx(0.5)
    path = write_ome(tmp_path / "S2.ome.tif", ("scan", SCAN), mpp=None)
    with pytest.raises(DataError, match="records no µm/px"):
        open_slide(path)
    path = write_ome(tmp_path / "S3.ome.tif", ("scan", SCAN), unit="pixel")
    with pytest.raises(DataError, match="records no µm/px"):
        open_slide(path)


def test_a_resolution_that_contradicts_the_physical_size_is_told(tmp_path):
    twice = {"resolution": (50_800, 50_800), "resolutionunit": "INCH"}  # 0.5 µm/px
    with open_slide(write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), mpp=(0.25, 0.25), **twice)) as slide:
        assert slide.mpp == 0.25
        assert slide.notes == ("its OME-XML records 0.25 µm/px, its TIFF resolution 0.5; the OME-XML's is used",)
    screen = {"resolution": (72, 72), "resolutionunit": "INCH"}  # which many programs write unasked
    with open_slide(write_ome(tmp_path / "S2.ome.tif", ("scan", SCAN), **screen)) as slide:
        assert (slide.mpp, slide.notes) == (0.5, ())


def test_a_physical_size_of_another_size_in_px_is_not_believed(tmp_path):
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), levels=1)
    xml = tifffile.tiffcomment(path)
    tifffile.tiffcomment(path, xml.replace('SizeX="600"', 'SizeX="1200"').encode())
    with pytest.raises(DataError, match="records no µm/px"):
        open_slide(path)
    with open_slide(path, slide_mpp=1.0) as slide:
        assert slide.notes[0].startswith("its OME-XML describes 1200 × 400 px at 0.5 µm/px, but the file holds 600")


@pytest.mark.parametrize("mpp", [(0.25, 0.5), (0.5, 0.515)])
def test_px_that_are_not_square_are_refused(tmp_path, mpp):
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), mpp=mpp)
    with pytest.raises(DataError, match=rf"records {mpp[0]} × {mpp[1]} µm/px, so its px are not square; resample"):
        open_slide(path)
    with open_slide(path, slide_mpp=0.5) as slide:
        assert slide.notes == (f"the file records px of {mpp[0]} × {mpp[1]} µm; the given 0.5 is used for both",)


def test_three_pages_are_red_green_and_blue(tmp_path):
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", np.moveaxis(SCAN, -1, 0)), axes="CYX")
    with open_slide(path) as slide:
        assert len(slide.levels) == 2
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)
        assert np.array_equal(slide.read(0, 0, 300, 200, 1.0), SCAN[::2, ::2])


def test_three_planes_of_one_page_are_red_green_and_blue(tmp_path):
    path = write_pyramid(tmp_path / "S1.tif", SCAN, levels=1)
    planes = np.moveaxis(SCAN, -1, 0)
    tifffile.imwrite(path, planes, planarconfig="separate", photometric="rgb", metadata=None, **TILED, **CM_05)
    assert np.array_equal(whole(path), SCAN)


@pytest.mark.parametrize(
    "channels",
    [
        {"Name": ["DAPI", "FITC", "Cy3"]},
        {"Name": ["Blue", "Green", "Red"]},
        {"EmissionWavelength": [460, 520, 580], "EmissionWavelengthUnit": ["nm"] * 3},
        {"Color": [0x0000FFFF, 0x00FF00FF, -16776961]},
    ],
)
def test_three_channels_of_fluorescence_are_no_colours(tmp_path, channels):
    options = {"metadata": {"Channel": channels}}
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", np.moveaxis(SCAN, -1, 0)), axes="CYX", **options)
    with pytest.raises(DataError, match=r"its pixel format is 3 channels.*, which the file does not say to be red"):
        open_slide(path)


@pytest.mark.parametrize(
    ("pixels", "options", "said"),
    [
        (SCAN.astype(np.uint16) * 257, {}, r"16 bits per channel \(3 channels\)"),
        (SCAN.astype(np.float32), {}, r"32-bit floating-point numbers \(3 channels\)"),
        (SCAN[..., 0], {"photometric": "minisblack"}, r"grey \(one channel\)"),
        (SCAN[..., 0].astype(np.uint16), {"photometric": "minisblack"}, r"16 bits per channel \(grey, one channel\)"),
        (np.dstack([SCAN, SCAN[..., 0]]), {"extrasamples": ["unspecified"]}, "4 channels, which the file does not say"),
        (np.dstack([SCAN] * 2), {"photometric": "minisblack", "planarconfig": "contig"}, "6 channels"),
        (SCAN.astype(np.uint16) * 257, {"compression": "jpeg2000"}, "16 bits per channel"),
    ],
)
@pytest.mark.parametrize("kind", ["ome", "plain"])
def test_pixels_that_are_no_colours_are_refused(tmp_path, pixels, options, said, kind):
    path = tmp_path / "S1.ome.tif"
    if kind == "plain":
        write_pyramid(path, pixels, levels=1, **options)
    else:
        write_ome(path, ("scan", pixels), levels=1, axes="YXS"[: pixels.ndim], **{"photometric": "rgb", **options})
    with pytest.raises(DataError, match=rf"its pixel format is {said}.*; convert it to 8-bit RGB"):
        open_slide(path)


def test_channels_of_an_ome_tiff_are_counted_over_its_pages(tmp_path):
    four = np.stack([SCAN[..., 0]] * 4)
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", four), axes="CYX", metadata={"Channel": {"Name": list("abcd")}})
    with pytest.raises(DataError, match=r"its pixel format is 4 channels \(a, b, c, d\)"):
        open_slide(path)


def test_a_focal_stack_is_read_at_its_first_plane_and_told(tmp_path):
    stack = np.stack([SCAN, 255 - SCAN, SCAN // 2])
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", stack), axes="ZYXS", levels=1, photometric="rgb")
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)
        assert slide.notes == ("it holds 3 focal planes; the first is read",)


@pytest.mark.parametrize("writer", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"bigtiff": True, "byteorder": ">"}])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd", "lzma"])
def test_pixels_are_the_files_in_any_kind_of_tiff(tmp_path, writer, compression):
    path = write_pyramid(tmp_path / "S1.tif", SCAN, writer=writer, compression=compression)
    with open_slide(path) as slide:
        assert (slide.vendor, slide.mpp, len(slide.levels)) == ("generic-tiff", pytest.approx(0.5), 2)
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)
        assert np.array_equal(slide.read(20, 40, 100, 50, 1.0), reduce_by(SCAN, 2)[20:70, 10:110])


@pytest.mark.parametrize("compression", ["zlib", "lzw", "zstd"])
def test_differences_to_the_neighbour_are_added_up(tmp_path, compression):
    assert np.array_equal(
        whole(write_pyramid(tmp_path / "S1.tif", SCAN, compression=compression, predictor=True)), SCAN
    )


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["jpeg2000", "webp", "jpegxl", "lerc", "png", 33005])
def test_what_imagecodecs_decodes_is_read(tmp_path, compression):
    lossless = {"compressionargs": {"lossless": True}} if compression in ("webp", "jpegxl") else {}
    path = write_pyramid(tmp_path / "S1.tif", SCAN, compression=compression, **lossless)
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)
        assert slide.notes == ()


@pytest.mark.parametrize("within", [0, 1, 2])
def test_lerc_may_be_compressed_once_more(tmp_path, within):
    args = {"compressionargs": {"compression": [None, "deflate", "zstd"][within]}}
    assert np.array_equal(whole(write_pyramid(tmp_path / "S1.tif", SCAN, compression="lerc", **args)), SCAN)


@pytest.mark.parametrize("unusual", [{"progressive": True}, {"restart_marker_rows": 2}, {"optimize": True}])
def test_jpegs_that_no_scanner_writes_are_read(tmp_path, unusual):
    path, tiles = tmp_path / "S1.tif", []
    image = patterned(512, 256, grain_px=8)
    for left in (0, 256):
        stream = io.BytesIO()
        Image.fromarray(image[:, left : left + 256]).save(stream, "JPEG", quality=95, subsampling=0, **unusual)
        tiles.append(stream.getvalue())
    options = {"photometric": "ycbcr", "subsampling": (1, 1), "compression": "jpeg", "tile": (256, 256)}
    tifffile.imwrite(path, iter(tiles), shape=image.shape, dtype=np.uint8, metadata=None, **options, **CM_05)
    shown = np.concatenate([np.asarray(Image.open(io.BytesIO(tile))) for tile in tiles], axis=1)
    assert np.array_equal(whole(path), shown)


@pytest.mark.parametrize("rows", [16, 400])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg2000"])
def test_strips_serve_as_tiles_do(tmp_path, rows, compression):
    options = {"tile": None, "rowsperstrip": rows, "compression": compression}
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), **options)
    with open_slide(path) as slide:
        assert len(slide.levels) == 2
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)
        assert np.array_equal(slide.read(13, 395, 30, 5), SCAN[395:400, 13:43])


def test_what_is_transparent_is_white(tmp_path):
    opacity = np.zeros((400, 600), np.uint8)
    opacity[:, 300:] = 255
    four = np.dstack([SCAN, opacity])
    for name in ("unassalpha", "assocalpha"):
        stored = four if name == "unassalpha" else np.dstack([SCAN * (opacity[..., None] > 0), opacity])
        pixels = whole(write_pyramid(tmp_path / f"{name}.tif", stored, levels=1, extrasamples=[name]))
        assert (pixels[:, :300] == 255).all()
        assert np.array_equal(pixels[:, 300:], SCAN[:, 300:])


@pytest.mark.slow
@pytest.mark.slow
def test_opaque_tiles_of_webp_may_lack_their_opacity(tmp_path):
    image = pyvips.Image.new_from_array(SCAN).copy(interpretation="srgb", xres=2000, yres=2000).bandjoin(255)
    image.tiffsave(str(tmp_path / "S1.tif"), tile=True, compression="webp", lossless=True)
    assert np.array_equal(whole(tmp_path / "S1.tif"), SCAN)


def test_a_palette_is_looked_up(tmp_path):
    palette = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    places = SCAN[..., 0]
    path = write_pyramid(tmp_path / "S1.tif", places, levels=1, photometric="palette", colormap=palette)
    assert np.array_equal(whole(path), (palette >> 8).astype(np.uint8).T[places])


def test_of_a_plain_tiff_the_largest_image_is_the_scan(tmp_path):
    path = tmp_path / "S1.tif"
    with tifffile.TiffWriter(path) as out:
        for image, reducing, name in (
            (LABEL, 0, "label"),
            (LABEL[::4, ::4], 0, ""),
            (SCAN, 0, ""),
            (SCAN[::2, ::2], 1, ""),
        ):
            tag = [(285, 2, len(name) + 1, name, True)] if name else []
            tags = {"subfiletype": reducing, "extratags": tag, "metadata": None, "photometric": "rgb"}
            out.write(np.ascontiguousarray(image), **tags, **TILED, **CM_05)
    with open_slide(path) as slide:
        assert [level[:2] for level in slide.levels] == [(600, 400), (300, 200)]
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)
        assert slide.notes == ("the file holds other images, which are not read: without a name (175 × 125 px)",)


def test_a_thumbnail_of_another_shape_is_no_level(tmp_path):
    path = tmp_path / "S1.tif"
    with tifffile.TiffWriter(path) as out:
        for image in (SCAN, LABEL[:100, :130], SCAN[::4, ::4]):
            flagged = {"subfiletype": int(image is not SCAN), "metadata": None, "photometric": "rgb"}
            out.write(np.ascontiguousarray(image), **flagged, **TILED, **CM_05)
    with open_slide(path) as slide:
        assert [level[:2] for level in slide.levels] == [(600, 400), (150, 100)]


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["jpeg", "zlib", "webp", "jpegxl", 33005, 34712])
def test_an_aperio_slide_in_any_compression_is_read_at_its_scale(tmp_path, compression):
    path = tmp_path / "S1.svs"
    said = "Aperio Image Library v12\r\n600x400 (128x128) of test|AppMag = 20|MPP = 0.4990"
    with tifffile.TiffWriter(path) as out:
        for number, level in enumerate((SCAN, SCAN[::4, ::4], SCAN[::2, ::2])):
            tiled = {"tile": (128, 128), "compression": compression} if number != 1 else {"rowsperstrip": 16}
            out.write(np.ascontiguousarray(level), photometric="rgb", description=said, metadata=None, **tiled)
    with open_slide(path) as slide:
        assert (slide.vendor, slide.mpp, slide.magnification, slide.notes) == ("aperio", 0.499, 20, ())
        assert [level[:2] for level in slide.levels] == [(600, 400), (300, 200)]
        assert np.abs(slide.read(0, 0, 600, 400).astype(int) - SCAN).mean() < 8


def test_a_missing_tile_is_white(tmp_path):
    path = write_pyramid(tmp_path / "S1.tif", SCAN, levels=1)
    with tifffile.TiffFile(path) as tiff, path.open("r+b") as stream:
        stream.seek(tiff.pages[0].tags["TileByteCounts"].valueoffset)
        stream.write(bytes(4))
    pixels = whole(path)
    assert (pixels[:128, :128] == 255).all()
    assert np.array_equal(pixels[128:], SCAN[128:])


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["zlib", "lzw", "jpeg", "jpeg2000", "webp", "jpegxl", "zstd", "lerc", "png"])
def test_a_damaged_tile_is_named_and_the_rest_can_be_read(tmp_path, compression):
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), compression=compression)
    sound = whole(path)
    with tifffile.TiffFile(path) as tiff, path.open("r+b") as stream:
        stream.seek(tiff.pages[0].dataoffsets[1])
        stream.write(bytes(tiff.pages[0].databytecounts[1]))
    with open_slide(path) as slide:
        with pytest.raises(DataError, match=r"S1\.ome\.tif: damaged at x 130, y 5 px, level 0") as caught:
            slide.read(130, 5, 10, 10)
        assert "\n" not in str(caught.value)
        assert np.array_equal(slide.read(0, 128, 600, 272), sound[128:])


@pytest.mark.parametrize("mpp", [(0.5, 0.5), None])
def test_a_file_cut_off_is_damaged_whatever_else_it_lacks(tmp_path, mpp):
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), mpp=mpp, levels=1)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"S1\.ome\.tif: damaged \(truncated\); copy or download it again"):
        open_slide(path).verify()


def test_a_compression_that_is_not_read_is_named(tmp_path):
    path = write_pyramid(tmp_path / "S1.tif", SCAN, levels=1)
    with tifffile.TiffFile(path) as tiff, path.open("r+b") as stream:
        stream.seek(tiff.pages[0].tags["Compression"].valueoffset)
        stream.write((22610).to_bytes(2, "little"))
    with pytest.raises(DataError, match=r"compressed with JPEG XR \(22610\), which is not read; convert it to JPEG"):
        open_slide(path)


def test_broken_ome_xml_is_told_and_the_largest_image_taken(tmp_path):
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), **CM_05)
    tifffile.tiffcomment(path, tifffile.tiffcomment(path)[:-30].encode())
    with open_slide(path) as slide:
        assert slide.notes[0].startswith("its OME-XML cannot be read (not valid XML")
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)


@pytest.mark.slow
def test_many_threads_read_what_one_reads(tmp_path):
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN), compression="jpeg2000")
    places = [(x, y) for y in range(0, 300, 50) for x in range(0, 500, 70)] * 2
    with open_slide(path) as slide, ThreadPoolExecutor(8) as pool:
        read = pool.map(lambda place: slide.read(*place, 100, 100), places)
        for (x, y), pixels in zip(places, read, strict=True):
            assert np.array_equal(pixels, SCAN[y : y + 100, x : x + 100])


def test_a_closed_slide_holds_no_tiles(tmp_path):
    before = _decoded_pieces()._bytes
    with open_slide(write_ome(tmp_path / "S1.ome.tif", ("scan", SCAN))) as slide:
        slide.read(0, 0, 600, 400)
        assert before < _decoded_pieces()._bytes <= CACHE_BYTES
    assert _decoded_pieces()._bytes == before


def test_a_thumbnail_decodes_no_more_than_of_a_plain_pyramid(tmp_path):
    image = np.tile(patterned(512, 512), (3, 3, 1))
    options = {"compression": "jpeg", "levels": 4}
    plain = write_pyramid(tmp_path / "plain.tif", image, **options)
    decoded = []
    for path in (plain, write_ome(tmp_path / "S1.ome.tif", ("scan", image), **options)):
        with open_slide(path) as slide:
            before = _decoded_pieces()._bytes
            assert slide.thumbnail(192).shape == (192, 192, 3)
            decoded.append(_decoded_pieces()._bytes - before)
    assert decoded[0] == decoded[1] == 2 * 2 * 128 * 128 * 3  # of level 3, whose side is 192 px


@pytest.mark.parametrize("name", ["S1_label.tif", "macro image 1", "Label", "S1.svs [thumbnail]", "overview"])
def test_a_sole_image_named_as_a_label_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="it holds a label or macro image, and no scan"):
        open_slide(write_ome(tmp_path / "S1.ome.tif", (name, LABEL), levels=1))


@pytest.mark.parametrize("name", ["label free 3.svs", "Overview of the tumour", "macro-dissected", "labelled"])
def test_a_sole_scan_may_have_such_a_word_in_its_name(tmp_path, name):
    path = write_pyramid(tmp_path / "S1.tif", SCAN, levels=1, extratags=[(285, 2, len(name) + 1, name, True)])
    assert np.array_equal(whole(path), SCAN)


def test_planes_may_be_jpegs(tmp_path):
    smooth = patterned(600, 400, grain_px=8)
    planes = np.ascontiguousarray(np.moveaxis(smooth, -1, 0))
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", planes), axes="CYX", compression="jpeg")
    assert np.abs(whole(path).astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("interleaved", [False, True])
def test_the_usual_recipe_of_libvips_is_read_in_colour_with_its_levels(tmp_path, interleaved):
    image = pyvips.Image.new_from_array(SCAN).copy(interpretation="srgb")
    roll = image.copy() if interleaved else pyvips.Image.arrayjoin(image.bandsplit(), across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", image.height)
    said = f"""<?xml version="1.0" encoding="UTF-8"?>
        <OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
        <Image ID="Image:0"><Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="3" SizeT="1" SizeX="{image.width}"
        SizeY="{image.height}" SizeZ="1" Type="uint8" PhysicalSizeX="0.5" PhysicalSizeY="0.5"></Pixels></Image></OME>"""
    roll.set_type(pyvips.GValue.gstr_type, "image-description", said)
    path = tmp_path / "S1.ome.tif"
    pyramid = {"subifd": True, "pyramid": True, "tile": True, "tile_width": 128, "tile_height": 128}
    roll.tiffsave(str(path), compression="deflate", **pyramid)
    with open_slide(path) as slide:
        assert (slide.size, slide.mpp) == ((600, 400), 0.5)
        assert len(slide.levels) >= 2
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)


@pytest.mark.slow
def test_strips_as_wide_as_a_slide_take_no_memory(tmp_path):
    path, wide = tmp_path / "S1.ome.tif", np.zeros((1024, 20_000, 3), np.uint8)
    write_ome(path, ("scan", wide), levels=1, tile=None, rowsperstrip=4)
    with open_slide(path) as slide:
        tracemalloc.start()
        slide.read(5000, 0, 200, 1000)
        assert tracemalloc.get_traced_memory()[1] - _decoded_pieces()._bytes < 10_000_000
        tracemalloc.stop()


def test_levels_may_be_compressed_in_another_way_or_not_be_read(tmp_path):
    path = tmp_path / "S1.tif"
    with tifffile.TiffWriter(path) as out:
        for number, compression in enumerate(("zlib", "jpeg", "lzw")):
            how = {**TILED, "compression": compression, "photometric": "rgb", "metadata": None, **CM_05}
            out.write(np.ascontiguousarray(SCAN[:: 2**number, :: 2**number]), subfiletype=int(number > 0), **how)
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
    with tifffile.TiffFile(path) as tiff, path.open("r+b") as stream:
        stream.seek(tiff.pages[2].tags["Compression"].valueoffset)
        stream.write((22610).to_bytes(2, "little"))
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2]
        assert slide.thumbnail(100).shape == (67, 100, 3)


@pytest.mark.parametrize(
    "names", [["Red", "Green", "Blue"], ["C:0", "C:1", "C:2"], ["R channel", "G channel", "B channel"]]
)
def test_channels_named_for_colours_or_by_number_are_colours(tmp_path, names):
    options = {"metadata": {"Channel": {"Name": names}}, "writer": {"bigtiff": True}}
    path = write_ome(tmp_path / "S1.ome.tif", ("scan", np.moveaxis(SCAN, -1, 0)), axes="CYX", **options)
    assert np.array_equal(whole(path), SCAN)


@pytest.mark.parametrize("order", ["AaBb", "BbAa", "ABba", "ABbc"])
@pytest.mark.parametrize("kind", ["ome", "plain"])
def test_a_scan_has_its_own_levels_and_not_those_of_another(tmp_path, order, kind):
    other = patterned(600, 400, seed=5)
    images = {"A": SCAN, "a": reduce_by(SCAN, 2), "B": other, "b": reduce_by(other, 2), "c": reduce_by(other, 4)}
    path = tmp_path / "S1.tif"
    with tifffile.TiffWriter(path, ome=kind == "ome") as out:
        for letter in order:
            said = {"axes": "YXS", "Name": letter} if kind == "ome" and letter.isupper() else None
            how = {**TILED, "photometric": "rgb", **CM_05, "subfiletype": int(letter.islower())}
            out.write(images[letter], metadata=said, **how)
    with open_slide(path) as slide:
        shown = slide.read(0, 0, 600, 400)
        first = "A" if np.array_equal(shown, SCAN) else "B"
        for number, level in enumerate(slide.levels):
            pixels = slide._level_region(number, 0, 0, *level[:2])
            assert np.array_equal(pixels, reduce_by(images[first], int(level.downsample)))
        assert len(slide.notes) == 1


@pytest.mark.parametrize("tiled", [TILED, {"tile": None, "rowsperstrip": 64}])
@pytest.mark.parametrize("turned", ["label image", "scan"])
def test_only_the_orientation_of_the_scan_counts(tmp_path, tiled, turned):
    path = tmp_path / "S1.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as out:
        for name, image in (("label image", LABEL), ("scan", SCAN)):
            tags = [(274, 3, 1, 6 if name == turned else 1, True)]
            out.write(image, photometric="rgb", metadata={"axes": "YXS", "Name": name}, extratags=tags, **tiled)
    if turned == "scan":
        with pytest.raises(DataError, match=r"stored rotated or mirrored \(orientation 6\)"):
            open_slide(path, slide_mpp=0.5)
    else:
        assert np.array_equal(whole(path, slide_mpp=0.5), SCAN)


def test_a_stained_section_by_akoya_is_read_by_its_name(tmp_path):
    path, small = tmp_path / "S1.qptiff", np.ascontiguousarray(SCAN[::4, ::4])
    pages = [("FullResolution", SCAN, 0), ("Thumbnail", small, 0), ("ReducedResolution", reduce_by(SCAN, 2), 1)]
    pages += [("Overview", LABEL, 0), ("Label", LABEL, 0)]
    with tifffile.TiffWriter(path, bigtiff=True) as out:
        for kind, image, reduced in pages:
            said = f"<?xml version='1.0'?><PerkinElmer-QPI><ImageType>{kind}</ImageType></PerkinElmer-QPI>"
            tiled = TILED if "Resolution" in kind else {"rowsperstrip": 64}
            out.write(image, photometric="rgb", subfiletype=reduced, description=said, metadata=None, **CM_05, **tiled)
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2]
        assert (slide.mpp, slide.notes) == (0.5, ())
        assert np.array_equal(slide.read(0, 0, 600, 400), SCAN)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_a_last_strip_that_is_padded_to_a_whole_one_is_read(tmp_path, compression):
    image = patterned(600, 400, grain_px=8)
    padded = np.pad(image, ((0, 112), (0, 0), (0, 0)), mode="edge")
    path = tmp_path / "S1.ome.tif"
    write_ome(path, ("scan", padded), levels=1, tile=None, rowsperstrip=256, compression=compression)
    tifffile.tiffcomment(path, tifffile.tiffcomment(path).replace('SizeY="512"', 'SizeY="400"').encode())
    with tifffile.TiffFile(path) as tiff, path.open("r+b") as stream:
        stream.seek(tiff.pages[0].tags["ImageLength"].valueoffset)
        stream.write((400).to_bytes(2 if tiff.pages[0].tags["ImageLength"].dtype == 3 else 4, "little"))
    assert np.abs(whole(path).astype(int) - image).mean() < 3
