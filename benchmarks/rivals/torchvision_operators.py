"""Lets torchvision be imported beside a torch of another build, where a package index has no matching pair."""

from importlib.metadata import version


def declare_operators_of_torchvision() -> None:
    """Declare two operators that torchvision's wheel for CUDA lacks beside a torch for the CPU; none is called."""
    import torch

    if "+cpu" in torch.__version__ and "+cpu" not in version("torchvision"):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)


_KEPT: list[object] = []  # an operator is gone with the library that declared it
