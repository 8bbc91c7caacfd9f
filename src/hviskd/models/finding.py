"""Finds a trained Model whatever stands for it, without its weights and so without torch; verbs take Models by it."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

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
