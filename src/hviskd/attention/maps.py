"""Attention maps of a network in a tile, for one class: Grad-CAM and related methods, on any stage."""

from collections.abc import Callable
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from hviskd.attention.settings import MapKind
from hviskd.errors import RecipeError
from hviskd.networks import Network


def attention_maps(
    network: Network, images: Tensor, classes: Tensor, *, kind: MapKind = "grad-cam", stage: int | None = None
) -> Tensor:
    """Return the maps of positive evidence for a class, at the size of the stage's feature map.

    `grad-cam`: channels weighted by the mean of their gradient (Selvaraju et al. 2017, eq. 1 and 2). `hires-cam`:
    channels times their gradient, pixel by pixel (Draelos and Carin 2020), which is what the logit truly adds up where
    the rest of the network is linear. `cam`: channels weighted by the classifier's own weights (Zhou et al. 2016), for
    `gap` heads at the last map only. What spoke against the class is cut off at zero.

    Args:
        network: In evaluation mode; its weights and their gradients are not touched.
        images: Float (B, 3, H, W), after the Model's input step.
        classes: Whose logit, int64 (B,).
        kind: Which map.
        stage: Which map of `network.features`, 0 for the stem's; None for the map that the head averages, or the last
            that reaches a class token.

    Returns:
        Float (B, h, w), at least 0, in the units of the logit (`cam`, `hires-cam`) or of it a pixel (`grad-cam`).

    Raises:
        RecipeError: There is no such kind or stage, or `cam` does not fit the network or the stage.
    """
    if kind not in get_args(MapKind):
        raise RecipeError(f"`kind={kind!r}`: unknown; choose one of {', '.join(get_args(MapKind))}")
    if network.training:
        raise RecipeError("attention: the network must be in evaluation mode")
    if kind == "cam":
        return _cam(network, images, classes, stage).clamp(min=0)
    maps, gradient = _with_gradient(network, images, classes, stage)
    return _OF_GRADIENT[kind](maps, gradient).clamp(min=0)


def scaled_maps(maps: Tensor, tile_px: int) -> Tensor:
    """Enlarge maps (B, h, w) to (B, tile_px, tile_px) bilinearly, each divided by its maximum.

    A map that is zero everywhere, where nothing spoke for the class, stays zero.
    """
    large = F.interpolate(maps[:, None], size=(tile_px, tile_px), mode="bilinear", align_corners=False)[:, 0]
    largest = large.amax((1, 2), keepdim=True)
    return large / largest.where(largest > 0, 1.0)


def _grad_cam(maps: Tensor, gradient: Tensor) -> Tensor:
    return (gradient.mean((2, 3), keepdim=True) * maps).sum(1)


def _hires_cam(maps: Tensor, gradient: Tensor) -> Tensor:
    return (gradient * maps).sum(1)


def _cam(network: Network, images: Tensor, classes: Tensor, stage: int | None) -> Tensor:
    if stage is not None:
        raise RecipeError("attention cam: needs the last stage; omit the stage, or choose grad-cam")
    if not network.averages:
        raise RecipeError("attention cam: needs a `gap` head that only averages; choose grad-cam")
    with torch.no_grad():
        trace = network.trace(images)
        weights = trace.class_weights[classes]
        return torch.einsum("bc,bchw->bhw", weights, trace.last)


def _with_gradient(network: Network, images: Tensor, classes: Tensor, stage: int | None) -> tuple[Tensor, Tensor]:
    """Return a stage's feature map and the gradient of each image's logit with respect to it, both (B, C, h, w)."""
    images = images.detach().requires_grad_()  # so that there is a graph though no weight asks for one
    with torch.enable_grad():
        passed, as_map, logits = network.passing(images, stage)
        logit = logits.gather(1, classes[:, None]).sum()  # images do not mix in evaluation mode
        gradients = torch.autograd.grad(logit, passed)
    return as_map([each.detach() for each in passed]), as_map(list(gradients))


_OF_GRADIENT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"grad-cam": _grad_cam, "hires-cam": _hires_cam}
