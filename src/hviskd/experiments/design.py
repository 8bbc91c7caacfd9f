"""The design of an experiment: pairs, methods, seeds and folds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hviskd.distillation import METHODS, resolve_methods
from hviskd.errors import RecipeError
from hviskd.training import load_recipe
from hviskd.training.yaml_mapping import built_in_texts, read_mapping, validated

STUDENT, KD = "student", "kd"  # the two baselines that every other arm is compared with
_NAME = r"^[\w][\w.+ -]*$"


class Arm(BaseModel):
    """One method of training the student.

    Attributes:
        name: Its name in tables and folders.
        methods: A preset's name or a mixture of methods, as in a recipe.
        epochs: Its epochs as a multiple of the experiment's; the table notes every arm where this is not 1.
        teacher: `trained`, or `random`: an untrained network of the teacher's architecture.
        settings: Changes of the recipe for this arm alone, by key.
        unlabelled: Whether the experiment's unlabelled tiles join.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=_NAME, max_length=60)
    methods: str | dict[str, dict[str, Any] | None]
    epochs: float = Field(default=1.0, gt=0, le=100)
    teacher: Literal["trained", "random"] = "trained"
    settings: dict[str, Any] = Field(default_factory=dict)
    unlabelled: bool = False

    @field_validator("methods")
    @classmethod
    def _methods_exist(cls, methods: str | dict[str, Any]) -> str | dict[str, Any]:
        try:
            resolve_methods(methods)
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return methods

    @property
    def needs_teacher(self) -> bool:
        """Whether it needs a teacher."""
        return any("teacher" in METHODS[name].needs for name in resolve_methods(self.methods))


BASELINES = (
    Arm(name=STUDENT, methods="plain"),
    Arm(name="student-twice", methods="plain", epochs=2),
    Arm(name="label-smoothing", methods={"cross_entropy": {"label_smoothing": 0.1}}),
    Arm(name=KD, methods="kd"),
    Arm(name="kd-0.1-0.9", methods={"cross_entropy": {"weight": 0.1}, "kd": {"weight": 0.9}}),
    Arm(name="hviskd-random-teacher", methods="hviskd", teacher="random"),
)


class Design(BaseModel):
    """A complete experiment.

    Attributes:
        pairs: Built-in recipes or recipe files, each of a teacher and a student.
        arms: Methods of training the student; a string is the name of a preset.
        seeds: Random seeds; one training per arm, pair, fold and seed.
        folds: Number of folds of a cross-validation by patient; None uses the TileSet's own split.
        settings: Changes of every recipe, including teachers', by key: `epochs`, `batch_size`, `learning_rate`, …
        teacher_settings: Changes of the teachers' recipes alone.
        teacher: Folder of a finished Run or Model that teaches in every pair; None trains each pair's own teacher.
        allow_weak_teacher: Distil even from a trained teacher that is no better than a guess on the validation split;
            the table says so. Arms with a random teacher always do.
        unlabelled: Folder of a TileSet whose tiles join, without labels, in the arms that say so.
        baselines: Add the baseline arms, without which no gain can be measured; turn off for quick trials only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: tuple[str, ...] = Field(min_length=1)
    arms: tuple[Arm, ...] = ()
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    folds: int | None = Field(default=None, ge=2, le=50)
    settings: dict[str, Any] = Field(default_factory=dict)
    teacher_settings: dict[str, Any] = Field(default_factory=dict)
    teacher: str | None = None
    allow_weak_teacher: bool = False
    unlabelled: str | None = None
    baselines: bool = True

    @field_validator("arms", mode="before")
    @classmethod
    def _presets_by_name(cls, arms: Any) -> Any:
        if not isinstance(arms, (list, tuple)):
            return arms
        return tuple({"name": arm, "methods": arm} if isinstance(arm, str) else arm for arm in arms)

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds) or min(seeds) < 0:
            raise ValueError("must be different integers, at least 0")
        return seeds

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.baselines:
            own = {arm.name for arm in self.arms}
            missing = tuple(arm for arm in BASELINES if arm.name not in own)
            object.__setattr__(self, "arms", (*missing, *self.arms))
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"two arms have the name {next(name for name in names if names.count(name) > 1)!r}")
        if not names:
            raise ValueError("arms: give at least one")
        return self

    @model_validator(mode="after")
    def _one_teacher_for_one_split(self) -> Self:
        if self.teacher is not None and self.folds is not None:
            raise ValueError("teacher: a finished teacher has seen the test patients of other folds; leave out `folds`")
        if self.teacher is not None and self.teacher_settings:
            raise ValueError("teacher_settings: a finished teacher is not trained; leave one of the two out")
        return self

    @model_validator(mode="after")
    def _unlabelled_tiles_are_used(self) -> Self:
        joining = [arm for arm in self.arms if arm.unlabelled]
        if bool(joining) != (self.unlabelled is not None):
            raise ValueError(
                "unlabelled: name the tiles in the experiment, and `unlabelled: true` in the arms they join"
            )
        for arm in joining:
            if not arm.needs_teacher:
                raise ValueError(f"arm {arm.name!r}: unlabelled tiles need a method with a teacher, for example kd")
        return self

    @model_validator(mode="after")
    def _recipes_are_sound(self) -> Self:
        try:
            for pair in self.pairs:
                load_recipe(pair, {**self.settings, **self.teacher_settings}, role="teacher")
                for arm in self.arms:
                    load_recipe(
                        pair, {**self.settings, **arm.settings, "methods": arm.methods}, role="distilled student"
                    )
        except RecipeError as error:
            raise ValueError(str(error)) from error
        return self

    def absolute(self) -> Self:
        """Return the experiment with absolute paths, for processes with other working directories."""
        pairs = tuple(str(Path(pair).absolute()) if Path(pair).is_file() else pair for pair in self.pairs)
        folders = {
            name: str(Path(folder).absolute())
            for name, folder in (("teacher", self.teacher), ("unlabelled", self.unlabelled))
            if folder is not None
        }
        return self.model_copy(update={"pairs": pairs, **folders})

    def to_yaml(self) -> str:
        """Return the complete experiment as YAML, including baselines, which `load_design` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        counts = (
            f"{len(self.arms)} arms",
            f"{len(self.seeds)} seed{'s' * (len(self.seeds) != 1)}",
            f"{self.folds} folds" if self.folds else "",
        )
        rows = [(arm.name, arm.methods, arm.epochs, arm.teacher, arm.settings or None) for arm in self.arms]
        return (
            show.paragraph(*(Path(pair).stem for pair in self.pairs), *counts)
            + show.table(("arm", "methods", "epochs, relative", "teacher", "own settings"), rows)
            + (show.table(("setting of every arm", "value"), self.settings.items()) if self.settings else "")
        )


def built_in_designs() -> Mapping[str, str]:
    """Return the built-in experiments, by name, as YAML."""
    return built_in_texts("hviskd.experiments", "designs")


def load_design(source: str | Path, changes: Mapping[str, Any] | None = None) -> Design:
    """Load an experiment from a YAML file or by the name of a built-in one.

    Args:
        source: Path or name. Recipe files and the teacher's folder in it are relative to it.
        changes: Values that replace the file's, by key; nested keys have dots, as in `settings.epochs`.

    Raises:
        RecipeError: No such experiment, not YAML, an unknown key, or an invalid value.
    """
    path = Path(source)
    content = read_mapping(source, built_in_designs(), "an experiment")
    if path.is_file() and isinstance(content.get("pairs"), list):
        content["pairs"] = [_beside(path, pair) for pair in content["pairs"]]
    for key in ("teacher", "unlabelled"):
        if path.is_file() and isinstance(content.get(key), str):
            content[key] = _beside(path, content[key])
    for key, value in (changes or {}).items():
        parent, _, last = key.rpartition(".")
        target = content.setdefault(parent, {}) if parent else content
        if not isinstance(target, dict):
            raise RecipeError(f"{source}: {key}: {parent} is not a mapping")
        target[last] = value
    return validated(Design, content, str(source))


def _beside(experiment: Path, named: Any) -> Any:
    beside = experiment.parent / str(named)
    return str(beside) if beside.exists() else named
