"""Finds a trained Model whatever stands for it, and loads it; verbs take Models by it. To find one takes no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from hviskd.errors import ModelError
from hviskd.models.card import ModelCard
from hviskd.models.folder import read_model_card, resolve_models

if TYPE_CHECKING:
    from hviskd.models.model import Model


class InFolder(Protocol):
    """What has a folder of its own, as a Run."""

    @property
    def folder(self) -> Path:
        """Where it stands."""


AnyModel: TypeAlias = "Model | InFolder | Path | str"


AnyModels: TypeAlias = "AnyModel | Sequence[AnyModel]"


def find_model(model: AnyModel) -> "tuple[Model | Path, ModelCard]":
    """Give a Model, or the folder it is to be loaded from, and its card; no weights are read.

    Args:
        model: A Model, its folder, or a finished Run or its folder, of which the chosen Model is taken.

    Raises:
        ModelError: There is no Model, or its card is damaged.
    """
    card = getattr(model, "card", None)
    if isinstance(card, ModelCard):
        return model, card  # type: ignore[return-value]  # to ask for its class would load torch
    folder = resolve_models(model if isinstance(model, str | Path) else model.folder)[0]
    return folder, read_model_card(folder)


def find_models(models: AnyModels) -> "list[Model | Path]":
    """Give Models, or the folders they are to be loaded from: of a finished Run its chosen and its last Model.

    Args:
        models: One or several, each as `find_model` takes it.

    Raises:
        ModelError: There is none at all, or one of them is not there.
    """
    several = models if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    found: list[Model | Path] = []
    for model in several:
        if isinstance(getattr(model, "card", None), ModelCard):
            found.append(model)  # type: ignore[arg-type]  # as above
        else:
            found += resolve_models(model if isinstance(model, str | Path) else model.folder)
    if not found:
        raise ModelError("no model given; name at least one Model, its folder, or a finished run")
    return found


def load_model(model: AnyModel) -> "Model":
    """Load a Model folder, or the chosen Model of a finished Run, without running any code it holds.

    Args:
        model: Its folder, or a finished Run or its folder; a Model is returned as it is.

    Raises:
        ModelError: Something is missing, damaged, changed since it was written, or of another format.
    """
    from hviskd.models.model import read_model

    found, _ = find_model(model)
    return read_model(found) if isinstance(found, Path) else found


def load_models(models: AnyModels) -> "list[Model]":
    """Load one or several Models, of a finished Run both its chosen and its last; raises as `load_model`."""
    return [load_model(model) for model in find_models(models)]
