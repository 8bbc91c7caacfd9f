"""Checks whether tiles suit a Model, and whether the Model may have been trained on them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from hviskd.errors import LeakError, ModelError
from hviskd.models.card import IMAGENET

if TYPE_CHECKING:
    from hviskd.models.card import DataRecord, ModelCard
    from hviskd.models.model import Model
    from hviskd.tiles import TileSet

_SAME_MPP = 0.05  # relative; scanners state their pixel size no better than this


def require_fit(model: "Model", tileset: "TileSet", *, as_teacher: bool = False) -> None:
    """Reject a Model with other classes or another tile size.

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
        raise ModelError(f"{name}: its classes differ from those of {tileset.folder}: {'; '.join(only)}")
    require_tile_px(card, tileset, name)
    if not as_teacher:
        return
    if card.classes != tileset.classes:
        raise ModelError(
            f"{name}: its classes have the order {', '.join(card.classes)}, those of the tiles "
            f"{', '.join(tileset.classes)}; train a teacher on these tiles"
        )
    if card.normalisation != IMAGENET:
        raise ModelError(f"{name}: normalises its input differently from students")
    if not _same_scale(model, tileset):
        raise ModelError(f"{name}: was trained at {card.mpp:g} µm/px, but these tiles have {tileset.mpp:g} µm/px")


def require_tile_px(card: "ModelCard", tileset: "TileSet", name: str) -> None:
    """Reject a Model, called `name` in the message, that reads tiles of another size.

    Raises:
        ModelError: It does.
    """
    if card.tile_px != tileset.tile_px:
        raise ModelError(
            f"{name}: needs tiles of {card.tile_px} px, but {tileset.folder} has tiles of {tileset.tile_px} px; "
            "cut tiles of that size"
        )


def strangeness(model: "Model", tileset: "TileSet") -> list[str]:
    """State in what the tiles differ from those that a Model was trained on: pixel size, colours."""
    return [remark for remark in (_scale(model, tileset), _colours(model, tileset)) if remark]


def acquaintance(data: "DataRecord", tileset: "TileSet") -> Literal["other tiles", "other split", "same split"]:
    """Return how a Model's training tiles are related to these tiles."""
    if data.fingerprint != tileset.fingerprint:
        return "other tiles"
    return "same split" if data.split_fingerprint == tileset.split_fingerprint else "other split"


def cautions(
    models: Sequence["Model"], names: Sequence[str], tileset: "TileSet", split: str, *, allow_leak: bool
) -> list[str]:
    """State what each Model may have seen of a split's tiles; Models with the same statement share a sentence.

    Raises:
        LeakError: A Model was trained on these tiles with another split, and `allow_leak` is not set.
    """
    said: dict[str, list[str]] = {}
    for model, name in zip(models, names, strict=True):
        familiarity = _familiarity(model, tileset, split, allow_leak=allow_leak)
        for remark in (familiarity, *strangeness(model, tileset), _schooling(model), _adaptation(model)):
            if remark:
                said.setdefault(remark, []).append(name)
    return [f"{', '.join(who)}: {remark}" for remark, who in said.items()]


def leak_statement(models: Sequence["Model"], names: Sequence[str], tileset: "TileSet", statement: str) -> str:
    """State what the splits share (`statement`), preceded by the Models trained on more than the training split."""
    known = [(acquaintance(model.card.data, tileset), model, name) for model, name in zip(models, names, strict=True)]
    other = [name for how, _, name in known if how == "other split"]
    leaking = [name for how, model, name in known if how == "same split" and model.card.data.leak_allowed]
    said = [f"LEAK: trained on these tiles with another split: {', '.join(other)}."] if other else []
    said += [f"LEAK: trained on splits or with a teacher that leak: {', '.join(leaking)}."] if leaking else []
    return " ".join([*said, statement])


def _familiarity(model: "Model", tileset: "TileSet", split: str, *, allow_leak: bool) -> str:
    """State what a Model may have seen of these tiles; reject one that was trained on them with another split."""
    how = acquaintance(model.card.data, tileset)
    more = model.card.data.unlabelled
    if how == "other tiles" and more is not None and more.data == tileset.fingerprint:
        name = model.card.data.name
        return f"trained on another TileSet ({name}) and, without labels, on {more.tiles:,} of these tiles."
    if how == "other tiles":
        return f"trained on another TileSet ({model.card.data.name}); whether the two share patients is unknown."
    if how == "other split":
        if not allow_leak:
            raise LeakError(
                f"{model.folder}: trained on {tileset.folder} with another split, so possibly on the "
                "tiles to be evaluated; restore that split",
                ", or pass `allow_leak=True` to continue",
            )
        return "trained on this TileSet with another split, so possibly on the tiles evaluated here."
    if split == "train":
        return "trained on these tiles; the results say nothing about new ones."
    if split == "val":
        return "the epoch may have been selected on these tiles, so the results may be too optimistic."
    return ""


def _scale(model: "Model", tileset: "TileSet") -> str:
    """Note a different pixel size of the tiles and of the Model's training tiles."""
    if _same_scale(model, tileset):
        return ""
    return f"trained at {model.card.mpp:g} µm/px, but these tiles have {tileset.mpp:g} µm/px."


def _colours(model: "Model", tileset: "TileSet") -> str:
    """Note that ICC profiles were applied to one, the tiles or the Model's training tiles, and not to the other."""
    if model.card.icc == tileset.card.icc:
        return ""
    own, theirs = ("", "not ") if model.card.icc else ("not ", "")
    return f"trained on tiles {own}converted to sRGB by ICC profile, but these tiles were {theirs}converted."


def _schooling(model: "Model") -> str:
    """Note a teacher that is no better than a guess."""
    teacher = model.card.teacher
    return f"its training was allowed although {teacher.weak}." if teacher and teacher.weak else ""


def _adaptation(model: "Model") -> str:
    """Note what adapting a Model to another place gained and cost."""
    return "" if model.card.adaptation is None else f"{model.card.adaptation}."


def _same_scale(model: "Model", tileset: "TileSet") -> bool:
    """Return whether both pixel sizes agree, if they are known."""
    own, theirs = model.card.mpp, tileset.mpp
    return own is None or theirs is None or abs(own / theirs - 1) <= _SAME_MPP
