"""The libraries that hviskd uses, the extras that bring some of them, and what is installed of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

# What is imported, by the name that pip knows it by.
CORE: Mapping[str, str] = {
    "filelock": "filelock",
    "imagecodecs": "imagecodecs",
    "jinja2": "jinja2",
    "lightning-fabric": "lightning_fabric",
    "markdown-it-py": "markdown_it",
    "markupsafe": "markupsafe",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "onnxscript": "onnxscript",
    "openslide-python": "openslide",
    "pandas": "pandas",
    "pillow": "PIL.Image",
    "pyarrow": "pyarrow",
    "pydantic": "pydantic",
    "pyvips": "pyvips",
    "pyyaml": "yaml",
    "rich": "rich",
    "safetensors": "safetensors",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "shapely": "shapely",
    "tifffile": "tifffile",
    "torch": "torch",
    "typer": "typer",
}
BINARIES = ("openslide-bin", "pyvips-binary")  # libraries of C that openslide and pyvips load; nothing to import


@dataclass(frozen=True)
class Extra:
    """Libraries that `pip install 'hviskd[NAME]'` adds.

    Attributes:
        modules: What is imported, by the name that pip knows it by.
        serves: What needs it.
        verbs: In which verbs of the command line that is.
    """

    name: str
    modules: Mapping[str, str]
    serves: str
    verbs: tuple[str, ...]

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install 'hviskd[{self.name}]'"


EXTRAS = (
    Extra(
        "viewer",
        {"cachetools": "cachetools", "starlette": "starlette", "uvicorn": "uvicorn"},
        "the viewer",
        ("view",),
    ),
    Extra(
        "timm",
        {"timm": "timm", "torchvision": "torchvision"},
        "networks named timm:…, foundation models among them, with torchvision from the package index of torch",
        ("train", "distill", "adapt", "compare", "tune", "networks"),
    ),
    Extra(
        "openvino",
        {"openvino": "openvino"},
        "the engine openvino, the fastest on CPUs",
        ("segment", "profile", "quantize"),
    ),
    Extra("dicom", {"pydicom": "pydicom"}, "annotations in DICOM", ("tiles cut", "agree", "annotations", "view")),
    Extra("dask", {"dask": "dask", "distributed": "distributed"}, "work on a Dask cluster", ("segment",)),
    Extra(
        "remote",
        {"aiohttp": "aiohttp", "fsspec": "fsspec", "s3fs": "s3fs"},
        "slides on servers, s3:// and https://",
        ("segment", "slides info", "tiles cut", "view"),
    ),
    Extra("tensorboard", {"tensorboard": "tensorboard"}, "the log for TensorBoard", ("train", "distill")),
)


def version_of(name: str) -> str | None:
    """Return the installed version of what pip knows as `name`; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def licence_of(name: str) -> str | None:
    """Return the licence that an installed library states: an identifier, a word of its own or a classifier."""
    try:
        stated = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    licence, free = (" ".join(stated.get_all(key, ())).strip() for key in ("License-Expression", "License"))
    classifiers = [each.rpartition(" :: ")[2] for each in stated.get_all("Classifier", ()) if "License ::" in each]
    if not licence and free and "\n" not in free and len(free) < 60:  # else it is the text of one
        licence = free
    return licence or ", ".join(classifiers) or None
