"""What the pages show is possible: commands, options, Python names, recipes and links are those of this version.

Nothing is run here: `make docs` runs the tutorials, and the page on Python, CONTRIBUTING and the README have tests that
run them.
"""

import ast
import inspect
import re
from importlib import import_module

import pytest
import yaml

import hviskd
from building.commands import walk
from hviskd.cli.status import Status
from hviskd.distillation import resolve_methods
from hviskd.distillation.registry import PRESETS
from hviskd.experiments.design import Design
from hviskd.training import Recipe, built_in_recipes
from tests.pages import PAGES, ROOT, anchors, blocks, commands, links, mentions

VERBS = dict(walk())
GROUPS = {name[0] for name in VERBS if len(name) > 1}
named = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
VARIABLE = re.compile(r"\$\{?[\w.]+\}?|\{[\w.]+\}")  # of shells, Nextflow and Snakemake


def split(words):
    """The verb that words call, and the words after it."""
    for length in (2, 1):
        if tuple(words[:length]) in VERBS:
            return VERBS[tuple(words[:length])], words[length:]
    raise AssertionError(f"no verb: hviskd {' '.join(words)}")


@named
def test_every_command_can_be_called(page):
    for words in commands(page):
        words = words[words[0] == "--debug" :]
        if "--help" in words or words[0] in ("VERB", "count"):  # the latter is the verb that CONTRIBUTING adds
            continue
        verb, rest = split(words)
        rest = [VARIABLE.sub("1", word) for word in rest if word != "…"]
        given = verb.make_context(" ".join(words), rest).params
        if recipe := given.get("recipe"):
            assert recipe in built_in_recipes() or recipe.endswith(".yaml"), recipe
        if method := given.get("method") if verb.name == "distill" else None:
            assert method in PRESETS or page.name == "CONTRIBUTING.md", method


@named
def test_every_command_that_a_sentence_names_exists(page):
    for words in mentions(page):
        if len(words) == 1 and words[0] in GROUPS:
            continue
        verb, rest = split(words)
        options = {option for parameter in verb.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)} <= options | {"--help"}


@named
def test_python_compiles_and_calls_what_exists(page):
    for block in () if page.name == "CONTRIBUTING.md" else blocks(page, "python"):  # whose modules do not exist yet
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hviskd"):
                for name in node.names:
                    getattr(import_module(node.module), name.name)
            elif isinstance(node, ast.Call) and (called := public(node.func)):
                inspect.signature(called).bind_partial(*node.args, **{word.arg: None for word in node.keywords})


def public(node):
    """What `hviskd.a.b` of a snippet is, or None for anything else."""
    words = ast.unparse(node)
    if not re.fullmatch(r"hviskd(\.\w+)+", words):
        return None
    thing = hviskd
    for word in words.split(".")[1:]:
        thing = getattr(thing, word)
    return thing


@named
def test_yaml_is_what_the_program_takes(page, tmp_path):
    for block in blocks(page, "yaml"):
        content = yaml.safe_load(block)
        if "pairs" in content:
            Design.model_validate(content)
        elif "network" in content:
            Recipe.model_validate(content)
        elif "classes" in content or "numbers" in content:
            (tmp_path / "legend.yaml").write_text(block, encoding="utf-8")
            hviskd.load_legend(tmp_path / "legend.yaml")
        elif "methods" in content:
            resolve_methods(content["methods"])


@named
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        if anchor and "<!-- generated" not in target.read_text(encoding="utf-8"):  # else `make docs` looks
            assert anchor in anchors(target), link


STATUSES = ROOT / "docs" / "reference" / "exit-codes.md"


def test_the_page_of_exit_statuses_has_those_of_the_code():
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", STATUSES.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: int(number) for number, name in rows} == {status.name.lower(): status.value for status in Status}


def test_it_names_the_commands_that_may_end_with_1():
    listed = re.findall(r"^\| `([a-z ]+?)(?: --\w+)?` \|", STATUSES.read_text(encoding="utf-8"), re.MULTILINE)
    modules = {inspect.getmodule(VERBS[tuple(name.split())].callback) for name in listed}
    every = {inspect.getmodule(verb.callback) for verb in VERBS.values()}
    assert modules == {module for module in every if re.search(r"Status\.(PARTLY|partly)", inspect.getsource(module))}
