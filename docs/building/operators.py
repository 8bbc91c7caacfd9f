"""Lets timm be imported where torch is a CPU build and torchvision's wheel is that of the package index."""

from importlib.metadata import version
from importlib.util import find_spec

_DECLARED = []  # lives as long as the process


def declare_operators_of_torchvision() -> None:
    """Declare the two operators for which that wheel needs a torch with CUDA; nobody calls them."""
    import torch

    if _DECLARED or not find_spec("torchvision"):
        return
    if "+cpu" in torch.__version__ and "+cpu" not in version("torchvision"):
        _DECLARED.append(library := torch.library.Library("torchvision", "FRAGMENT"))
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
