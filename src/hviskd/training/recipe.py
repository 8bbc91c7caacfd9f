"""Recipes: validated, complete descriptions of a training, and the pair files from which they are usually loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from hviskd.distillation import Options, resolve_methods
from hviskd.errors import RecipeError
from hviskd.models import NetworkChoice, find_model
from hviskd.networks import HeadKind
from hviskd.plain_yaml import parse_yaml
from hviskd.tiles.augmentation import Augmentation
from hviskd.training.built_in import built_in_recipes
from hviskd.training.yaml_mapping import read_mapping, validated

Role = Literal["teacher", "student", "distilled student"]


class Recipe(BaseModel):
    """A complete description of one training; the defaults are the paper's (Sci. Rep. 2025).

    Attributes:
        network: A network of the zoo, or `timm:` and a name of timm's.
        head: `gap` (global average), `grid` (the paper's; networks of the zoo) or `token` (the class token of a
            transformer).
        weights: Weights trained elsewhere that the network starts from: a file, a folder, or `hf-hub:OWNER/NAME`. As a
            place on one computer it is no part of the written recipe; the card tells the file's name and SHA-256.
        weights_licence: Their licence, for example apache-2.0, if neither folder nor name tells it.
        network_arguments: What differs from the named architecture: {stem_stride: 4} for a residual network of the zoo
            on larger tiles, {img_size: 224, reg_tokens: 4} for one of timm's.
        start: A finished Run or Model of the same network, whose weights the training starts from; None
            starts from random ones.
        probe: Whether only the classifier is fitted, as a linear probe on the network's features; then the keys below
            except `choose_by` and `seed` have no meaning.
        methods: A preset's name, or a mapping of method names to their options; always stored in full.
        epochs: Number of passes over the training split; with unlabelled tiles, over its labelled tiles alone.
        batch_size: Number of tiles per step, over all processes together. A last, incomplete batch is skipped,
            since relations between samples depend on the batch size.
        optimizer: `sgd` (with momentum) or `adamw`.
        learning_rate: Initial (after a warm-up: highest) learning rate.
        momentum: Of SGD.
        nesterov: Whether SGD looks ahead (Nesterov).
        weight_decay: Of all weights; with AdamW not of biases and normalisations.
        schedule: `steps`: the learning rate falls at `decay_at`. `cosine`: along half a cosine to 0.
        warm_up: Share of the training over which the learning rate rises from 0.
        layer_decay: Factor between the learning rates of stages, from the head down to the stem.
        clip: Largest L2 norm of the gradient of everything that learns; 0: not clipped.
        ema: Decay of an exponential moving average of the weights, which is then validated and kept in place of the
            weights; 0: none.
        decay_at: Fractions of the epochs after which the learning rate is multiplied by `decay`; the paper's epochs
            75, 90 and 105 of 120.
        augmentation: Of the training tiles. `turn_and_flip`: quarter turns and both flips, each with probability one
            half. `shift_and_flip`: padding with 4 black px, a random crop of the original size, and a horizontal
            flip of every other tile, as is usual for CIFAR. `none`.
        stain_jitter: Variation of haematoxylin and eosin of the training tiles: each is multiplied by a factor
            between exp(−stain_jitter) and exp(stain_jitter), tile by tile.
        low_power: Weight, from 0 to below 1, of the losses of the same tiles at low power, as the student alone sees
            them: the same field at twice the µm/px, each px the mean of four. So one Model reads both, and `segment`
            need look closely only where low power does not suffice. 0: never.
        cache_views: Number of fixed views per tile to draw from, where `shift_and_flip` or `stain_jitter` would make a
            new one each time, so that a teacher's answers to them can be stored. 0: new ones each time.
        balance: How rare classes are balanced. `weights`: in the cross-entropies with the
            labels, a tile counts in inverse proportion to the tiles of its class. `sampling`: an epoch has as many
            tiles as before, but equally many of every class, so tiles of rare classes are seen several times. `none`.
        unlabelled_share: Share of each batch that is unlabelled, in a distillation with unlabelled tiles.
        precision: Numerical precision of the networks; losses stay in float32.
        choose_by: The metric on the validation split by which the epoch is selected; `last`: the last epoch, where the
            validation split does not show what is learned, as for tiles of another place.
        seed: Random seed of initial weights, tile order and augmentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    head: HeadKind = "gap"
    network_arguments: dict[str, Any] = Field(default_factory=dict)
    weights: str | None = Field(default=None, min_length=1, exclude=True)
    weights_licence: str | None = Field(default=None, min_length=1, max_length=100)
    start: str | None = None
    probe: bool = False
    methods: SerializeAsAny[dict[str, Options]] = Field(default="plain", validate_default=True)
    epochs: int = Field(default=120, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=0.005, gt=0, allow_inf_nan=False)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=5e-4, ge=0, allow_inf_nan=False)
    schedule: Literal["steps", "cosine"] = "steps"
    warm_up: float = Field(default=0.0, ge=0, lt=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    clip: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    ema: float = Field(default=0.0, ge=0, lt=1)
    decay_at: tuple[float, ...] = (0.625, 0.75, 0.875)
    decay: float = Field(default=0.1, gt=0, le=1)
    augmentation: Augmentation = "turn_and_flip"
    stain_jitter: float = Field(default=0.0, ge=0, le=2, allow_inf_nan=False)
    low_power: float = Field(default=0.0, ge=0, lt=1)
    cache_views: int = Field(default=0, ge=0, le=1000)
    balance: Literal["none", "weights", "sampling"] = "none"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    choose_by: Literal["balanced_accuracy", "top1", "last"] = "balanced_accuracy"
    seed: int = Field(default=0, ge=0, lt=2**31)
    unlabelled_share: float = Field(default=0.5, gt=0, lt=1)

    @field_validator("methods", mode="before")
    @classmethod
    def _complete_methods(cls, wanted: Any) -> dict[str, Options]:
        if isinstance(wanted, Mapping):
            plain = {
                name: options.model_dump() if isinstance(options, Options) else options
                for name, options in wanted.items()
            }
            return resolve_methods(plain)
        return resolve_methods(wanted)

    @field_validator("methods")
    @classmethod
    def _something_is_learned_throughout(cls, methods: dict[str, Options]) -> dict[str, Options]:
        for progress in sorted({0.0, *(options.during[1] for options in methods.values())} - {1.0}):
            if not any(options.counts_at(progress) for options in methods.values()):
                raise ValueError(f"no method is active at {progress:.0%} of the training")
        return methods

    @model_validator(mode="after")
    def _starts_from_one(self) -> Self:
        if self.weights is not None and self.start is not None:
            raise ValueError("start: a training cannot start from `weights` as well; leave one of the two out")
        return self

    @model_validator(mode="after")
    def _probe_is_selected(self) -> Self:
        if self.probe and self.choose_by == "last":
            raise ValueError("choose_by: a probe has no last epoch; choose by balanced_accuracy or top1")
        return self

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise ValueError("nesterov: needs optimizer: sgd with a momentum")
        return self

    @field_validator("decay_at")
    @classmethod
    def _decay_within_training(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < share < 1 for share in shares) or list(shares) != sorted(shares):
            raise ValueError("fractions of the epochs between 0 and 1, in rising order")
        return shares

    @property
    def choice(self) -> NetworkChoice:
        """The network and its head, as a card describes them."""
        return NetworkChoice(name=self.network, head=self.head, arguments=self.network_arguments)

    @property
    def measure(self) -> str:
        """The metric on the validation split that outputs name: the one that selects, if one does."""
        return "balanced_accuracy" if self.choose_by == "last" else self.choose_by

    def learning_rate_at(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0, by the schedule `steps`."""
        passed = sum(epoch >= round(share * self.epochs) for share in self.decay_at)
        return float(self.learning_rate * self.decay**passed)

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with other values; nested keys have dots (`methods.hviskd.scale`).

        Raises:
            RecipeError: An unknown key, or an invalid value.
        """
        content = self.model_dump(mode="json") | {"weights": self.weights}  # a dump leaves the path out
        for key, value in changes.items():
            _replace(content, key, value, "recipe")
        return validated(Recipe, content, "recipe")

    def to_yaml(self) -> str:
        """Return the complete recipe as YAML, which `load_recipe` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        content = self.model_dump(mode="json")
        methods = content.pop("methods")
        options = [(name, ", ".join(f"{key} {value}" for key, value in own.items())) for name, own in methods.items()]
        return show.table(("key", "value"), content.items()) + show.table(("method", "options"), options)


def load_recipe(
    source: str | Path | None, changes: Mapping[str, Any] | None = None, *, role: Role = "student"
) -> Recipe:
    """Load a recipe by the name of a built-in one or from a YAML file.

    A file describes one training (key `network`) or a pair (keys `teacher` and `student`, each a network and a
    head, and what both trainings share). For a pair, `role` says whose training this is: the `teacher`'s, the
    `student`'s without a teacher, or the `distilled student`'s, with the pair's methods.

    Args:
        source: Name or path; None starts from the defaults, which need at least `network` in the changes.
        changes: Values that replace the file's, by key; nested keys have dots (`methods.hviskd.scale`).
        role: Which network of a pair is trained, and how.

    Raises:
        RecipeError: No such recipe or role, not YAML, an unknown key, or an invalid value.
    """
    if role not in get_args(Role):
        raise RecipeError(f"`role={role!r}`: must be one of {', '.join(map(repr, get_args(Role)))}")
    where = "recipe" if source is None else str(source)
    content: dict[str, Any] = {} if source is None else read_mapping(source, built_in_recipes(), "a recipe")
    start = (changes or {}).get("start", content.get("start"))
    if "network" not in content and start is not None:
        content = _of_model(start) | {key: value for key, value in content.items() if key not in ("teacher", "student")}
    elif source is not None and "network" not in content and {"teacher", "student"} & content.keys():
        content = _of_pair(content, role, where)
    content.setdefault("methods", "hviskd" if role == "distilled student" else "plain")
    for key, value in (changes or {}).items():
        _replace(content, key, value, where)
    if "network" not in content and content.get("weights"):
        content |= _of_weights(content["weights"])
    if "network" not in content:
        raise RecipeError(
            "give `recipe` (see `built_in_recipes()`) or `network` (see `network_names()`), or `start`, a finished run "
            "to go on from"
        )
    return validated(Recipe, content, where)


def parse_value(text: str) -> Any:
    """Read one value of the command line as YAML would."""
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{text!r} is not a YAML value") from error


def _of_pair(content: dict[str, Any], role: Role, where: str) -> dict[str, Any]:
    shared = dict(content)
    if role == "teacher":  # it reads full power, also where its student learns to read less
        shared.pop("low_power", None)
    choices = {}
    for side in ("teacher", "student"):
        if side not in shared:
            raise RecipeError(
                f"{where}: has neither `network` (one training) nor both `teacher` and `student` (a pair)"
            )
        try:
            choices[side] = NetworkChoice.model_validate(shared.pop(side))
        except ValidationError as error:
            raise RecipeError(f"{where}: {side}: {error.errors()[0]['msg']}; write {{name: …, head: gap}}") from error
    chosen = choices["teacher" if role == "teacher" else "student"]
    if role != "distilled student":
        shared["methods"] = "plain"
    own = {"network": chosen.name, "head": chosen.head, "network_arguments": chosen.arguments}
    return own | shared


def _of_model(start: str | Path) -> dict[str, Any]:
    """Return the network of a finished Run or Model."""
    choice = find_model(start)[1].network
    return {"network": choice.name, "head": choice.head, "network_arguments": choice.arguments}


def _of_weights(weights: str | Path) -> dict[str, Any]:
    """Return the network that a folder of weights names, if it names one."""
    from hviskd.networks.pretrained import architecture_of  # which needs torch

    name = architecture_of(weights)
    return {} if name is None else {"network": f"timm:{name}"}


def _replace(content: dict[str, Any], key: str, value: Any, where: str) -> None:
    *parents, last = key.split(".")
    if parents and isinstance(content.get("methods"), str):
        content["methods"] = {
            name: options.model_dump() for name, options in resolve_methods(content["methods"]).items()
        }
    target = content
    for parent in parents:
        if target.get(parent) is None:
            target[parent] = {}
        target = target[parent]
        if not isinstance(target, dict):
            raise RecipeError(f"{where}: {key}: {parent} is a value, not a mapping")
    target[last] = value
