"""Exports a Model to the formats of other programs, checked against torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hviskd.errors import ModelError
from hviskd.models.checking import check_tiles, largest_difference, require_agreement, torch_answers
from hviskd.models.engines.by_openvino import has_openvino
from hviskd.models.engines.engine import Runner
from hviskd.models.export_formats import Facts, write_onnx, write_openvino, write_torchscript, write_wsinfer
from hviskd.models.finding import AnyModel, load_model
from hviskd.models.model import Model
from hviskd.storage import atomic_file, atomic_folder, require_free_file
from hviskd.version import NOTICE, __version__


@dataclass(frozen=True)
class _Format:
    """How a format is written, whether to a file or a folder, and whether it can hold an int8 variant."""

    write: Callable[[Model, Facts, Path], Runner]
    one_file: bool
    holds_int8: bool


_FORMATS = {
    "onnx": _Format(write_onnx, one_file=True, holds_int8=True),
    "openvino": _Format(write_openvino, one_file=False, holds_int8=True),
    "torchscript": _Format(write_torchscript, one_file=True, holds_int8=False),
    "wsinfer": _Format(write_wsinfer, one_file=False, holds_int8=False),
}


@dataclass(frozen=True)
class Export:
    """The result of an export.

    Attributes:
        path: The file or folder.
        precision: `float32` or `int8`: what it calculates with.
        check_tiles: How many tiles it was checked with.
        largest_difference: Of a probability to torch's in float32, on those tiles.
        remarks: What the user of the export must take care of.
    """

    path: Path
    precision: str
    check_tiles: int
    largest_difference: float
    remarks: tuple[str, ...]


_KNOWN_BY = {"openvino": "model.xml", "wsinfer": "config.json"}  # a file that every such folder has


def export_formats() -> tuple[str, ...]:
    """Return the names of the formats."""
    return tuple(_FORMATS)


def export_model(
    model: AnyModel, to: str, path: Path | str, *, mpp: float | None = None, overwrite: bool = False
) -> Export:
    """Write a Model in another program's format, read it back, and keep it only if it agrees with torch.

    Args:
        model: The Model; its int8 variant is used if it has one and the format supports it.
        to: One of `export_formats()`.
        path: The file (onnx, torchscript) or folder (openvino, wsinfer) to write.
        mpp: µm/px of the tiles, if the Model's card does not record it; WSInfer's format needs it.
        overwrite: Whether to replace an existing output.

    Raises:
        DataError: `mpp` is not positive.
        ModelError: The format is unknown or cannot be written, the µm/px is missing or contradicts the card, or a
            probability differs from torch's by more than the tolerance; nothing is written.
        DataError: `path` exists.
    """
    model, path = load_model(model), Path(path)
    if to not in _FORMATS:
        raise ModelError(f"`to={to!r}`: unknown; choose one of {', '.join(_FORMATS)}")
    if to == "openvino" and not has_openvino():
        raise ModelError("openvino is not installed; install it by pip install openvino, or export to onnx")
    form = _FORMATS[to]
    precision = "int8" if model.card.int8 and form.holds_int8 else "float32"
    facts = _facts(model, precision, _known_mpp(model, to, mpp))
    with _place(path, to, overwrite=overwrite) as partial:
        difference = largest_difference(model.card, torch_answers(model), form.write(model, facts, partial))
        remedy = "nothing was written; try another format"
        require_agreement(model.folder, model.card, f"its export to {to}", precision, difference, remedy)
    return Export(path, precision, len(check_tiles(model.card)), difference, tuple(_remarks(facts)))


def _known_mpp(model: Model, to: str, given: float | None) -> float | None:
    """Determine the pixel size from the card or the user."""
    mpp = model.card.settle_mpp(given)
    if mpp is None and to == "wsinfer":
        raise ModelError(
            f"{model.folder}: does not record the µm/px of its training tiles, which WSInfer needs; give it with `mpp`"
        )
    return mpp


def _facts(model: Model, precision: str, mpp: float | None) -> Facts:
    """Collect the metadata to embed in the file."""
    card = model.card.model_dump(mode="json")
    kept = ("name", "network", "classes", "colours", "tile_px", "stain", "icc", "licences", "weights_sha256", "created")
    return {
        "notice": NOTICE,
        **{key: card[key] for key in kept},
        "mpp": mpp,
        "precision": precision,
        "int8": card["int8"] if precision == "int8" else None,
        "hviskd_version": __version__,
    }


def _remarks(facts: Facts) -> Iterator[str]:
    if facts["stain"] is not None:
        yield "It was trained on stain-normalised tiles; without the same normalisation, expect worse results."
    if facts["icc"]:
        yield "It was trained on tiles converted to sRGB by ICC profile; convert slides in the same way."
    if facts["mpp"] is None:
        yield "The µm/px of its tiles is unknown; give `mpp` to record it."
    unknown = [licence["what"] for licence in facts["licences"] if licence["licence"] is None]
    if unknown:
        yield f"Before you share it: the licence is unknown for {', '.join(unknown)}."
    for licence in facts["licences"]:
        if licence["terms"] and licence["licence"]:
            yield f"Before you share it: {licence['what']}: {licence['licence']}, {licence['terms']}."


@contextmanager
def _place(path: Path, to: str, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary place for a file or a folder, which is renamed to `path` at the end."""
    if not _FORMATS[to].one_file:
        with atomic_folder(path, overwrite=overwrite, replaces=(_KNOWN_BY[to], f"export to {to}")) as partial:
            yield partial
        return
    require_free_file(path, overwrite=overwrite)
    with atomic_file(path) as partial:
        yield partial
