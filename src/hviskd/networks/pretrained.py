"""Opens weights that were trained elsewhere: a file, a folder as on the Hugging Face hub, or a hub id."""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hviskd.errors import DataError, ModelError, RecipeError, first_problem
from hviskd.networks.licences import known_licence
from hviskd.networks.network_input import TIMM, NetworkInput
from hviskd.networks.timm_body import ARGUMENTS, check_arguments, import_timm, settle_input
from hviskd.plain_yaml import parse_yaml
from hviskd.storage import file_digest, read_json

HUB = "hf-hub:"
_FIRST = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
_WITHIN = ("state_dict", "model_state_dict", "model", "teacher", "student", "network", "net", "backbone", "encoder")
_CARD = "README.md"
_LONGEST_CARD = 1 << 20
# What a timm configuration says of its classifier and of loading, which has no meaning here.
_OF_NO_MEANING = (
    "num_classes",
    "global_pool",
    "dynamic_img_size",
    "in_chans",
    "img_size",
    "pretrained",
    "features_only",
)


@dataclass(frozen=True)
class Pretrained:
    """Weights that were trained elsewhere.

    Attributes:
        name: Of the file, folder or hub id; never a path.
        sha256: Of the file.
        tensors: By their names in it.
        licence: Its identifier, if the user, the folder or the table of known encoders tells it.
        architecture: timm's name of what they belong to, if the folder tells it.
        arguments: What that was built with.
        own_input: What the folder tells of mean, deviation and interpolation.
    """

    name: str
    sha256: str
    tensors: Mapping[str, Tensor]
    licence: str | None = None
    architecture: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    own_input: Mapping[str, Any] = field(default_factory=dict)

    def settle(self, network: str, arguments: Mapping[str, Any], tile_px: int) -> dict[str, Any]:
        """Return `arguments` and `own_input` of a network for these weights; a user's arguments override the folder's.

        Raises:
            RecipeError: The folder names another architecture, or timm cannot build it.
        """
        if not network.startswith(TIMM):
            return {}
        name = network.removeprefix(TIMM)
        if self.architecture is not None and self.architecture.split(".")[0] != name.split(".")[0]:
            raise RecipeError(
                f"weights {self.name}: are of the architecture {self.architecture}; set `network='{TIMM}"
                f"{self.architecture}'`"
            )
        complete, own = settle_input(name, {**self.arguments, **arguments}, tile_px)
        try:
            own = NetworkInput.model_validate(own.model_dump() | dict(self.own_input))
        except ValidationError as error:
            raise ModelError(f"weights {self.name}: {first_problem(error, 'config.json')}") from error
        return {"arguments": complete, "own_input": own}


def open_pretrained(source: str | Path, licence: str | None = None) -> Pretrained:
    """Open weights without running any code from them.

    Args:
        source: A file (safetensors, or a torch file read with `weights_only`), a folder with one such file and perhaps
            `config.json` and `README.md` as on the Hugging Face hub, or `hf-hub:OWNER/NAME`, which timm downloads.
        licence: Its identifier, for example `apache-2.0`, where it is known to the user.

    Raises:
        ModelError: There are no weights, several files of them, or what is there cannot be read safely.
        RecipeError: A hub id is named and timm is missing.
    """
    if isinstance(source, str) and source.startswith(HUB):
        folder, name = _download(source.removeprefix(HUB)), source.removeprefix(HUB)
    else:
        folder = Path(source)
        name = folder.resolve().name
    file = _file_in(folder) if folder.is_dir() else folder
    if not file.is_file():
        raise ModelError(f"`weights={str(source)!r}`: no such file or folder")
    around = folder if folder.is_dir() else file.parent
    told = _config(around / "config.json") if folder.is_dir() else {}
    known = (licence, told.pop("licence", None), _licence_in(around / _CARD) if folder.is_dir() else None)
    found = next((each for each in known if each), None) or known_licence(name) or known_licence(file.name)
    return Pretrained(name, file_digest(file), _read(file), found, **told)


def architecture_of(source: str | Path) -> str | None:
    """Return timm's name of the architecture that a local folder of weights names; None if it names none."""
    config = Path(source) / "config.json"
    name: str | None = _config(config).get("architecture")
    return name


def _file_in(folder: Path) -> Path:
    if (folder / "model.json").is_file():
        raise ModelError(f"{folder}: is a Model of hviskd; give it as the teacher, or name its weights.safetensors")
    for name in _FIRST:
        if (folder / name).is_file():
            return folder / name
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    if len(files) != 1:
        found = ", ".join(path.name for path in files[:5]) if files else "none"
        raise ModelError(f"{folder}: must hold one file of weights ({', '.join(_SUFFIXES)}); found {found}")
    return files[0]


def _read(file: Path) -> dict[str, Tensor]:
    """Read named tensors, wherever in nested dictionaries they are."""
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no dictionary
        content: object = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, KeyError) as error:
        raise ModelError(f"{file}: not a file of weights that can be read without running code from it") from error
    while isinstance(content, Mapping):
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return {str(name): value for name, value in tensors.items()}
        content = next((content[name] for name in _WITHIN if name in content), None)
    raise ModelError(f"{file}: holds no named tensors")


def _config(file: Path) -> dict[str, Any]:
    """Read what a folder's `config.json` tells of architecture, input and licence, as timm writes it."""
    if not file.is_file():
        return {}
    try:
        content = read_json(file)
    except DataError as error:
        raise ModelError(str(error)) from error
    if not isinstance(content, dict) or not isinstance(content.get("architecture"), str):
        return {}  # of another library
    own = content.get("pretrained_cfg", content)
    given = content.get("model_args") or {}
    if not isinstance(own, dict) or not isinstance(given, dict):
        raise ModelError(f"{file}: not a configuration of timm")
    arguments = {key: value for key, value in given.items() if key not in _OF_NO_MEANING and value is not None}
    unknown = sorted(set(arguments) - set(ARGUMENTS))
    if unknown:
        raise ModelError(f"{file}: argument {unknown[0]!r} is not supported; choose from {', '.join(ARGUMENTS)}")
    check_arguments(arguments)
    keys = {"mean": "mean", "std": "deviation", "interpolation": "interpolation"}
    return {
        "architecture": content["architecture"],
        "arguments": arguments,
        "own_input": {ours: own[theirs] for theirs, ours in keys.items() if own.get(theirs)},
        "licence": own.get("license") if isinstance(own.get("license"), str) else None,
    }


def _licence_in(card: Path) -> str | None:
    """Return the licence that the front matter of a README on the hub names."""
    if not card.is_file() or card.stat().st_size > _LONGEST_CARD:
        return None
    front = re.match(r"---\s*\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        content = parse_yaml(front[1]) if front else None
    except yaml.YAMLError:
        return None
    told = content if isinstance(content, dict) else {}
    named = told.get("license_name") if told.get("license") == "other" else told.get("license")
    return named if isinstance(named, str) else None


def _download(hub_id: str) -> Path:
    """Let timm fetch weights and configuration, and return the folder that they are in."""
    import_timm()
    from timm.models import _hub

    try:
        folder = Path(_hub.download_from_hf(hub_id, "config.json")).parent
        for name in _FIRST[:2]:
            try:
                return Path(_hub.download_from_hf(hub_id, name)).parent
            except FileNotFoundError:
                continue
    except (OSError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"`weights='{HUB}{hub_id}'`: timm could not fetch it ({str(error).splitlines()[0]})"
        ) from error
    raise ModelError(f"{folder}: holds neither {_FIRST[0]} nor {_FIRST[1]}")
