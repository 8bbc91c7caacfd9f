"""Do these tiles fit a Model, and what may it have seen of them: whatever gives tiles to Models asks here first."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from hviskd.errors import LeakError, ModelError
from hviskd.models.card import IMAGENET

if TYPE_CHECKING:
    from hviskd.models.card import DataRecord
    from hviskd.models.model import Model
    from hviskd.tiles import TileSet

_SAME_MPP = 0.05  # relative; scanners state their pixel size no better than this


def require_fit(model: "Model", tileset: "TileSet", *, as_teacher: bool = False) -> None:
    """Refuse a Model that names other classes or reads tiles of another size.

    Args:
        model: The Model.
        tileset: The tiles.
        as_teacher: Whether a student shall learn from it on these tiles. Then the classes must stand in the tiles'
            order, input and scale must be the student's.

    Raises:
        ModelError: It does not fit; the message says what differs.
    """
    card, name = model.card, f"teacher {model.card.name}" if as_teacher else str(model.folder)
    own, theirs = set(card.classes), set(tileset.classes)
    if own != theirs:
        only = [f"only the model has {', '.join(sorted(own - theirs))}"] if own - theirs else []
        only += [f"only the tiles have {', '.join(sorted(theirs - own))}"] if theirs - own else []
        raise ModelError(f"{name}: its classes are not those of {tileset.folder}: {'; '.join(only)}")
    if card.tile_px != tileset.tile_px:
        raise ModelError(
            f"{name}: reads tiles of {card.tile_px} px, {tileset.folder} holds tiles of {tileset.tile_px} px; "
            "cut tiles of its size"
        )
    if not as_teacher:
        return
    if card.classes != tileset.classes:
        raise ModelError(
            f"{name}: its classes are in the order {', '.join(card.classes)}, the tiles' in the order "
            f"{', '.join(tileset.classes)}; train a teacher on these tiles"
        )
    if card.normalisation != IMAGENET:
        raise ModelError(f"{name}: normalises its input in another way than students do")
    if not _same_scale(model, tileset):
        raise ModelError(f"{name}: learned at {card.mpp:g} µm/px, these tiles have {tileset.mpp:g} µm/px")


def acquaintance(data: "DataRecord", tileset: "TileSet") -> Literal["other tiles", "other split", "same split"]:
    """Say how the tiles that a Model learned from are related to these."""
    if data.fingerprint != tileset.fingerprint:
        return "other tiles"
    return "same split" if data.split_fingerprint == tileset.split_fingerprint else "other split"


def cautions(
    models: Sequence["Model"], names: Sequence[str], tileset: "TileSet", split: str, *, allow_leak: bool
) -> list[str]:
    """Say what each Model may have seen of a split's tiles; Models of which the same is true share a sentence.

    Raises:
        LeakError: A Model learned from these tiles under another split, and `allow_leak` is not set.
    """
    said: dict[str, list[str]] = {}
    for model, name in zip(models, names, strict=True):
        for remark in (_familiarity(model, tileset, split, allow_leak=allow_leak), _scale(model, tileset)):
            if remark:
                said.setdefault(remark, []).append(name)
    return [f"{', '.join(who)}: {remark}" for remark, who in said.items()]


def leak_statement(models: Sequence["Model"], names: Sequence[str], tileset: "TileSet", statement: str) -> str:
    """Say what the splits share (`statement`), and first of all which Models have seen more than the train split."""
    known = [(acquaintance(model.card.data, tileset), model, name) for model, name in zip(models, names, strict=True)]
    other = [name for how, _, name in known if how == "other split"]
    leaking = [name for how, model, name in known if how == "same split" and model.card.data.leak_allowed]
    said = [f"LEAK: {', '.join(other)} learned from these tiles under another split."] if other else []
    said += [f"LEAK: {', '.join(leaking)} learned under splits or from a teacher that leak."] if leaking else []
    return " ".join([*said, statement])


def _familiarity(model: "Model", tileset: "TileSet", split: str, *, allow_leak: bool) -> str:
    """Say what a Model may have seen of these tiles; refuse one that learned under another split."""
    how = acquaintance(model.card.data, tileset)
    if how == "other tiles":
        return f"learned from another tile set ({model.card.data.name}); whether the two share patients is not known."
    if how == "other split":
        if not allow_leak:
            raise LeakError(
                f"{model.folder}: learned from {tileset.folder} under another split, so it may have learned from the "
                "tiles it would be measured on; restore that split, or go on with `allow_leak=True`"
            )
        return "learned from this tile set under another split, so perhaps from the tiles measured here."
    if split == "train":
        return "learned from these very tiles; this says nothing about new ones."
    if split == "val":
        return "the epoch may have been chosen on these tiles; the values may be too good."
    return ""


def _scale(model: "Model", tileset: "TileSet") -> str:
    """Say so where the tiles are of another magnification than the Model learned from."""
    if _same_scale(model, tileset):
        return ""
    return f"learned at {model.card.mpp:g} µm per pixel, these tiles have {tileset.mpp:g}."


def _same_scale(model: "Model", tileset: "TileSet") -> bool:
    """Say whether both µm/px are alike, as far as they are known."""
    own, theirs = model.card.mpp, tileset.mpp
    return own is None or theirs is None or abs(own / theirs - 1) <= _SAME_MPP
