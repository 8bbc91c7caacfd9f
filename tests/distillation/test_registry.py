"""Recipes' method tables: what is unknown, out of range or impossible is said in one line."""

import inspect
import pkgutil
from importlib import import_module

import pytest
import torch

from hviskd.distillation import METHODS, Method, Setting, build_methods, methods, resolve_methods
from hviskd.errors import RecipeError
from tests.distillation.conftest import FakeShapes


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("hviskdd", "method 'hviskdd' is unknown; did you mean 'hviskd'"),
        ({"kdd": {}}, r"methods\.kdd is unknown; did you mean 'kd'"),
        ({"kd": {"temprature": 4}}, r"methods\.kd\.temprature: unknown key"),
        ({"kd": {"temperature": 0}}, r"methods\.kd\.temperature: Input should be greater than 0"),
        ({"kd": {"weight": float("nan")}}, r"methods\.kd\.weight"),
        ({"hviskd": {"levels": [0, 2]}}, r"methods\.hviskd\.levels: .*at least 1"),
        ({"hviskd": {"scale": "learned"}}, r"methods\.hviskd\.scale"),
        ({}, "at least one"),
    ],
)
def test_mistakes(wanted, message):
    with pytest.raises(RecipeError, match=message):
        resolve_methods(wanted)


def test_an_empty_entry_means_the_defaults():
    assert resolve_methods({"kd": None}) == resolve_methods({"kd": {}})


def test_a_method_that_needs_a_teacher_says_so():
    alone = Setting(FakeShapes([(4, 8, 8)]), None, 3, torch.zeros(1))
    with pytest.raises(RecipeError, match=r"methods\.kd needs a teacher"):
        build_methods(resolve_methods("kd"), alone)


def test_every_module_of_a_method_is_known_by_the_name_it_gives_itself():
    for module in pkgutil.iter_modules(methods.__path__):
        content = vars(import_module(f"{methods.__name__}.{module.name}")).values()
        own = [each for each in content if inspect.isclass(each) and issubclass(each, Method) and "name" in vars(each)]
        assert [METHODS[module.name]] == own
    assert {name: method.name for name, method in METHODS.items()} == {name: name for name in METHODS}
