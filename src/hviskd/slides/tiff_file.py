"""Slides in a TIFF that is no scanner's own: OME-TIFF, and tiled TIFF of any compression that can be decoded here.

`open_slide` makes them. Of OME-TIFFs, OpenSlide would take the first image for the scan, one channel for all, and no
level; of others, it knows few compressions, and takes deep or additional channels for colours.
"""

from pathlib import Path

from hviskd.arrays import RGB
from hviskd.errors import DataError
from hviskd.orientation import refuse_turned
from hviskd.slides import compressions as by
from hviskd.slides.piece_decoding import DECODED
from hviskd.slides.pyramid import pyramid_levels
from hviskd.slides.resolution import settle_mpp
from hviskd.slides.scan_choice import choose_scan
from hviskd.slides.slide import Slide
from hviskd.slides.tiff_images import BY_PALETTE, YCBCR, StoredImage, stored_images
from hviskd.slides.tiff_level import MAX_PIECE_PX, TiffLevel


class TiffFile(Slide):
    """A slide in a TIFF; label and macro images, which may show names, are never read."""

    def __init__(self, path: Path, *, slide_mpp: float | None = None) -> None:
        """Read the headers of a TIFF.

        Raises:
            DataError: The file is damaged, holds no scan, its px are not the colours of a stained section or are
                stored in a way that is not read, or its µm/px is missing or absurd and `slide_mpp` does not give it.
        """
        try:
            images = stored_images(path)
        except ValueError as error:
            raise _damaged(path, error) from error
        scan = choose_scan(path, images)
        refuse_turned(path, max(plane.orientation for level in scan.levels for plane in level))
        _require_decodable(path, scan.levels[0][0].in_rows())
        planes = [[plane.in_rows() for plane in level] for level in scan.levels]
        planes = [level for level in planes if _is_decodable(path, level[0])]
        if max(int(plane.byte_counts.max()) for level in planes for plane in level) > path.stat().st_size:
            raise _damaged(path, "a tile longer than the file")
        self._pieces = [TiffLevel(path, level) for level in planes]
        try:
            mpp, notes = settle_mpp(path, scan.mpp, slide_mpp)
        except DataError:
            self._require_whole(path)  # of a truncated file, say that it is damaged, not what it lacks
            raise
        super().__init__(
            path,
            levels=pyramid_levels([level[0].size for level in planes]),
            mpp=mpp,
            vendor=scan.vendor,
            magnification=scan.magnification,
            notes=(*scan.notes, *notes),
            icc=scan.levels[0][0].icc,
        )

    def verify(self) -> None:
        """Check that no piece lies beyond the end of the file, and read the last of every level.

        Raises:
            DataError: The file is damaged.
        """
        self._require_whole(self.path)
        for number, level in enumerate(self.levels):
            self._level_region(number, level.width_px - 1, level.height_px - 1, 1, 1)

    def _require_whole(self, path: Path) -> None:
        try:
            for level in self._pieces:
                level.require_within(path.stat().st_size)
        except ValueError as error:
            raise _damaged(path, error) from error

    def _release(self) -> None:
        for level in self._pieces:
            level.forget()

    def _stored_px(self, level: int) -> int | None:
        return self._pieces[level].jpeg_px

    def _stored_jpeg(self, level: int, column: int, row: int) -> bytes | None:
        return self._pieces[level].jpeg(column, row)

    def _level_region(self, level: int, x: int, y: int, width: int, height: int) -> RGB:
        try:
            pixels = self._pieces[level].region(x, y, width, height)
        except (OSError, ValueError) as error:
            downsample = self.levels[level].downsample
            where = f"at x {round(x * downsample)}, y {round(y * downsample)} px, level {level}"
            raise DataError(f"{self.path}: damaged {where} ({error}); copy or download it again") from error
        assert pixels is not None  # a level of a TIFF has no other reader
        return pixels


def _require_decodable(path: Path, image: StoredImage) -> None:
    """Check that what an image is compressed with is decoded here, and in pieces that fit into memory.

    Raises:
        DataError: It is not.
    """
    name = by.compression_name(image.compression)
    if image.compression not in DECODED:
        raise DataError(f"{path}: compressed with {name}, which is not read; convert it to JPEG or deflate")
    by_bytes = image.compression in (by.NONE, by.LZW, by.DEFLATE, by.OLD_DEFLATE, by.ZSTD, by.LZMA, by.PACKBITS)
    if image.predictor not in (1, 2) or (image.predictor == 2 and not by_bytes):
        raise DataError(f"{path}: {name} with predictor {image.predictor} is not read; convert it to JPEG or deflate")
    if set(image.bits) != {8}:
        raise DataError(f"{path}: its pixel format is {min(image.bits)} bits per channel; convert it to 8-bit RGB")
    subsampled = image.photometric == YCBCR and image.subsampling != (1, 1) and by_bytes
    if subsampled or (image.compression == by.JPEG and image.photometric == BY_PALETTE):
        raise DataError(f"{path}: its pixel format is subsampled YCbCr without JPEG; convert it to 8-bit RGB")
    columns, rows = image.tile_size
    if columns * rows > MAX_PIECE_PX:
        raise DataError(f"{path}: stored in pieces of {columns} × {rows} px; convert it to a tiled TIFF")


def _is_decodable(path: Path, image: StoredImage) -> bool:
    try:
        _require_decodable(path, image)
    except DataError:
        return False
    return True


def _damaged(path: Path, error: ValueError | str) -> DataError:
    return DataError(f"{path}: damaged ({error}); copy or download it again")
