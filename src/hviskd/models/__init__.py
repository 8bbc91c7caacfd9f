"""The portable Model: a folder with weights and a card, loaded without running any code from it.

Names load what they need when first used: to read a card takes no torch.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.models.card import (
        IMAGENET,
        DataRecord,
        Int8Record,
        Licence,
        ModelCard,
        NetworkChoice,
        Normalisation,
        TeacherRecord,
        UnlabelledRecord,
    )
    from hviskd.models.compute import Compute
    from hviskd.models.device import pick_device
    from hviskd.models.export import export_model
    from hviskd.models.finding import AnyModel, AnyModels, find_model, find_models, load_model, load_models
    from hviskd.models.folder import read_model_card, resolve_models
    from hviskd.models.input_step import InputStep
    from hviskd.models.model import Model, save_model, write_weights
    from hviskd.models.predicting import predict
    from hviskd.models.quantization import QuantizeSettings, quantize

_HOMES = {
    "IMAGENET": "card",
    "AnyModel": "finding",
    "AnyModels": "finding",
    "Compute": "compute",
    "DataRecord": "card",
    "InputStep": "input_step",
    "Int8Record": "card",
    "Licence": "card",
    "Model": "model",
    "ModelCard": "card",
    "NetworkChoice": "card",
    "Normalisation": "card",
    "QuantizeSettings": "quantization",
    "TeacherRecord": "card",
    "UnlabelledRecord": "card",
    "export_model": "export",
    "find_model": "finding",
    "find_models": "finding",
    "load_model": "finding",
    "load_models": "finding",
    "pick_device": "device",
    "predict": "predicting",
    "quantize": "quantization",
    "read_model_card": "folder",
    "resolve_models": "folder",
    "save_model": "model",
    "write_weights": "model",
}

__all__ = [
    "IMAGENET",
    "AnyModel",
    "AnyModels",
    "Compute",
    "DataRecord",
    "InputStep",
    "Int8Record",
    "Licence",
    "Model",
    "ModelCard",
    "NetworkChoice",
    "Normalisation",
    "QuantizeSettings",
    "TeacherRecord",
    "UnlabelledRecord",
    "export_model",
    "find_model",
    "find_models",
    "load_model",
    "load_models",
    "pick_device",
    "predict",
    "quantize",
    "read_model_card",
    "resolve_models",
    "save_model",
    "write_weights",
]

__getattr__ = load_on_use(__name__, _HOMES)
