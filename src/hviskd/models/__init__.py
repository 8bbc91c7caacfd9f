"""The portable Model: one folder of weights and a card that says what they are, read without running any code in it."""

from hviskd.models.card import DataRecord, Licence, ModelCard, NetworkChoice, Normalisation, TeacherRecord
from hviskd.models.device import pick_device
from hviskd.models.input_step import IMAGENET, InputStep
from hviskd.models.model import Model, load_model, resolve_models, save_model, write_weights

__all__ = [
    "IMAGENET",
    "DataRecord",
    "InputStep",
    "Licence",
    "Model",
    "ModelCard",
    "NetworkChoice",
    "Normalisation",
    "TeacherRecord",
    "load_model",
    "pick_device",
    "resolve_models",
    "save_model",
    "write_weights",
]
