"""The optimizer of a recipe: what learns at which rate, and how the rate changes from step to step."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hviskd.distillation import Objective
from hviskd.networks import Network
from hviskd.training.recipe import Recipe

_SCALE = "scale"  # of a group's rate, relative to the recipe's


def build_optimizer(recipe: Recipe, objective: Objective) -> torch.optim.Optimizer:
    """Build one optimizer for everything that learns: the student, and the methods' adapters."""
    groups = parameter_groups(recipe, objective)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov)


def parameter_groups(recipe: Recipe, objective: Objective) -> list[dict[str, Any]]:
    """Group what learns by the scale of its rate and by its weight decay.

    With AdamW, biases and the weights of normalisations (all of one dimension or none) do not decay, as is usual; with
    SGD they do, as in the paper. What methods exempt never decays. With `layer_decay` γ < 1, the rate of a part k parts
    below the head is multiplied by γᵏ (Clark et al. 2020; Bao et al. 2022); adapters have the head's.
    """
    exempt = {id(weight) for weight in objective.undecayed()}
    depths = _depths(objective.student) if recipe.layer_decay < 1 else {}  # type: ignore[arg-type]
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for weight in objective.parameters():
        if not weight.requires_grad:
            continue
        spared = id(weight) in exempt or (recipe.optimizer == "adamw" and weight.ndim < 2)
        key = recipe.layer_decay ** depths.get(id(weight), 0), 0.0 if spared else recipe.weight_decay
        groups.setdefault(key, []).append(weight)
    return [
        {"params": weights, "weight_decay": decay, _SCALE: scale}
        for (scale, decay), weights in sorted(groups.items(), key=lambda item: item[0], reverse=True)
    ]


def rate_at(recipe: Recipe, progress: float) -> float:
    """Return the learning rate when a share of the training is done, from 0 to below 1.

    `steps`: the initial rate, times `decay` after each of `decay_at` (at the beginning of an epoch). `cosine`: from the
    initial rate to 0 along half a cosine (Loshchilov and Hutter 2017). Over the first `warm_up` of the training, the
    rate rises from 0 along a line instead; a cosine begins after it.
    """
    if progress < recipe.warm_up:
        return recipe.learning_rate * progress / recipe.warm_up
    if recipe.schedule == "cosine":
        done = (progress - recipe.warm_up) / (1 - recipe.warm_up)
        return recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
    return recipe.learning_rate_at(math.floor(progress * recipe.epochs + 1e-9))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(_SCALE, 1.0)


def moving_average(student: Network, decay: float) -> AveragedModel:
    """Return an exponential moving average of a student's weights and buffers, to be updated after every step.

    w̄ ← d w̄ + (1 − d) w, with d the smaller of `decay` and (1 + t) / (10 + t) after t steps, so that the first weights
    are soon forgotten; the first update copies.
    """

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        done = int(steps)
        share = 1 - min(decay, (1 + done) / (10 + done))
        for mean, now in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, share)
            else:
                mean.copy_(now)

    return AveragedModel(student, multi_avg_fn=update, use_buffers=True)


def _depths(student: Network) -> dict[int, int]:
    """Return how many parts below the head each parameter of a student is; parts are the head, stages and the stem."""
    return {id(weight): below for below, weights in enumerate(reversed(student.parts())) for weight in weights}
