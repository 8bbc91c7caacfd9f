"""Puts weights that were trained elsewhere into a network, and reports what was taken and what was not."""

import re
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hviskd.errors import ModelError
from hviskd.networks.base import Network
from hviskd.networks.licences import terms_for_students
from hviskd.networks.pretrained import Pretrained
from hviskd.networks.weights_report import WeightsReport, some_of

_ENOUGH = 0.9  # of a network's weights; with less, most layers would be random and nobody would notice
_NAMED = 10  # names in a report
_COUNTER = "num_batches_tracked"
_CLASSIFIER = re.compile(r"_?(fc|head|heads|head_dist|classifier)\.")


def take_weights(network: Network, source: Pretrained) -> WeightsReport:
    """Copy weights into a network, except into its classifier.

    Tensors are matched by name, after a prefix common to the file's names is removed and timm's own conversions are
    made (which also bring position embeddings to another size); else, if numbers, shapes and the kinds of all tensors
    agree in order, by order.

    Raises:
        ModelError: Less than nine tenths of the network's weights are in the file, or one of them is NaN or infinite.
    """
    body: Any = getattr(network, "body", network)
    state = {name: value for name, value in body.state_dict().items() if not name.startswith("head.classifier.")}
    given, how = _by_name(source.tensors, state, body)
    if not _fitting(given, state) and (ordered := _by_order(source.tensors, state)):
        given, how = ordered, "by order, since names differ but numbers, shapes and kinds agree"
    taken = _fitting(given, state)
    _require_enough(taken, state, source)
    with torch.no_grad():
        for name, value in taken.items():
            state[name].copy_(value)
    random = [name for name in state if name not in taken and not name.endswith(_COUNTER)]
    unused = [name for name in given if name not in taken]
    return WeightsReport(
        name=source.name,
        sha256=source.sha256,
        licence=source.licence,
        terms=terms_for_students(source.licence),
        matched=how,
        taken=len(taken),
        random=tuple(random[:_NAMED]),
        random_count=len(random),
        unused=tuple(unused[:_NAMED]),
        unused_count=len(unused),
    )


def _by_name(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor], body: Any) -> tuple[dict[str, Tensor], str]:
    """Return the file's tensors by the network's names, as far as they can be brought to them."""
    prefixes = {""} | {name.removesuffix(known) for known in state for name in tensors if name.endswith(f".{known}")}
    prefix = max(sorted(prefixes), key=lambda each: sum(f"{each}{known}" in tensors for known in state))
    bare = {name.removeprefix(prefix): value for name, value in tensors.items()}
    how = f"by name without the prefix {prefix}" if prefix else "by name"
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        try:
            converted = convert(dict(bare), body)
        except (RuntimeError, KeyError, ValueError, AttributeError, AssertionError, TypeError, IndexError):
            converted = bare  # not what timm converts
        if len(_fitting(converted, state)) > len(_fitting(bare, state)):
            bare, how = converted, f"{how}, converted as timm does"
    if "norm.weight" not in bare and "norm.weight" in state:  # it norms before pooling here
        bare = {re.sub(r"^fc_norm\.", "norm.", name): value for name, value in bare.items()}
    return dict(bare), how


def _by_order(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the file's tensors by the network's names in order, if all agree in shape and kind; else nothing."""
    file = [(name, value) for name, value in tensors.items() if not _CLASSIFIER.match(name)]
    alike = len(file) == len(state) and all(
        value.shape == ours.shape and name.rpartition(".")[2] == own.rpartition(".")[2]
        for (name, value), (own, ours) in zip(file, state.items(), strict=True)
    )
    return {own: value for own, (_, value) in zip(state, file, strict=True)} if alike else {}


def _fitting(given: Mapping[str, Any], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value
        for name, value in given.items()
        if name in state and isinstance(value, Tensor) and value.shape == state[name].shape
    }


def _require_enough(taken: Mapping[str, Tensor], state: Mapping[str, Tensor], source: Pretrained) -> None:
    whole = sum(value.numel() for value in state.values())
    share = sum(value.numel() for value in taken.values()) / whole
    if share < _ENOUGH:
        missing = [f"{name} {tuple(value.shape)}" for name, value in state.items() if name not in taken]
        theirs = [f"{name} {tuple(value.shape)}" for name, value in source.tensors.items() if name not in taken]
        raise ModelError(
            f"weights {source.name}: only {share:.0%} of the network's weights are in the file, the rest would be "
            f"random; choose the network that they belong to, with its arguments. Missing: {some_of(missing)}; in the "
            f"file instead: {some_of(theirs)}"
        )
    broken = next(
        (name for name, value in taken.items() if value.is_floating_point() and not value.isfinite().all()), ""
    )
    if broken:
        raise ModelError(f"weights {source.name}: {broken} is NaN or infinite")
