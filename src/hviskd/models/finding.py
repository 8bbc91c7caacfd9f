"""Finds and loads a trained Model, given itself, its folder or a Run. Finding one does not import torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from hviskd.errors import ModelError
from hviskd.models.card import ModelCard
from hviskd.models.folder import read_model_card, resolve_models

if TYPE_CHECKING:
    from hviskd.models.model import Model


class InFolder(Protocol):
    """An object with a folder of its own, for example a Run."""

    @property
    def folder(self) -> Path:
        """Its folder."""


AnyModel: TypeAlias = "Model | InFolder | Path | str"


AnyModels: TypeAlias = "AnyModel | Sequence[AnyModel]"


def find_model(model: AnyModel) -> "tuple[Model | Path, ModelCard]":
    """Return a Model, or the folder it is to be loaded from, and its card; no weights are read.

    Args:
        model: A Model, its folder, or a finished Run or its folder, whose selected Model is used.

    Raises:
        ModelError: There is no Model, or its card is damaged.
    """
    card = getattr(model, "card", None)
    if isinstance(card, ModelCard):
        return model, card  # type: ignore[return-value]  # to ask for its class would load torch
    folder = resolve_models(model if isinstance(model, str | Path) else model.folder)[0]
    return folder, read_model_card(folder)


def find_models(models: AnyModels, *, last: bool = True) -> "list[Model | Path]":
    """Return Models, or the folders they are to be loaded from.

    Args:
        models: One or several, each as `find_model` takes it.
        last: Whether a finished Run gives its last Model as well as the selected one.

    Raises:
        ModelError: There is none at all, or one of them is not there.
    """
    found: list[Model | Path] = []
    for model in one_or_several(models):
        if isinstance(getattr(model, "card", None), ModelCard):
            found.append(model)  # type: ignore[arg-type]  # as above
        else:
            both = resolve_models(model if isinstance(model, str | Path) else model.folder)
            found += both if last else both[:1]
    if not found:
        raise ModelError("no model given; give at least one Model, its folder, or a finished run")
    return found


def one_or_several(models: AnyModels) -> Sequence[AnyModel]:
    """Return Models as a sequence, also where a single one was given; a text is one folder."""
    return models if isinstance(models, Sequence) and not isinstance(models, str) else [models]


def load_model(model: AnyModel) -> "Model":
    """Load a Model folder, or the selected Model of a finished Run, without running any code from it.

    Args:
        model: Its folder, or a finished Run or its folder; a Model is returned unchanged.

    Raises:
        ModelError: Something is missing, damaged, changed since it was written, or in another format.
    """
    from hviskd.models.model import read_model

    found, _ = find_model(model)
    return read_model(found) if isinstance(found, Path) else found


def load_models(models: AnyModels, *, last: bool = True) -> "list[Model]":
    """Load one or several Models, as `find_models` finds them and `load_model` loads them."""
    return [load_model(model) for model in find_models(models, last=last)]
