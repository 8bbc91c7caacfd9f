"""What CONTRIBUTING.md shows works when it is pasted: its method, reader and verb pass the tests of their kind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
STEP = re.compile(r"^`(?P<path>[\w/.]+\.py)`$|^```(?P<kind>python|diff)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
EVERY_METHOD = "tests/distillation/test_every_method.py"


def follow(page: str, checkout: Path) -> list[str]:
    """Do what the page says: write each new file, and add lines where its diffs add them; returns the new files."""
    path, made = "", []
    for step in STEP.finditer(page):
        if step["path"]:
            path = step["path"]
        elif step["kind"] == "python":
            assert not (checkout / path).exists(), f"{path} exists already"
            (checkout / path).write_text(step["code"], encoding="utf-8")
            made.append(path)
        else:
            lines = step["code"].splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] == " ")
            after = "".join(line[1:] for line in lines)
            content = (checkout / path).read_text(encoding="utf-8")
            assert content.count(before) == 1, f"{path} has not, or not only once:\n{before}"
            (checkout / path).write_text(content.replace(before, after), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the code and its tests in which somebody followed the page."""
    folder = tmp_path_factory.mktemp("newcomer")
    for part in ("src", "tests", "docs/building"):  # which tests read the commands with
        shutil.copytree(ROOT / part, folder / part)
    for file in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / file, folder)
    for file in ROOT.glob("docs/*.py"):  # which tests import, too
        shutil.copy(file, folder / "docs")
    made = follow(PAGE, folder)
    assert len([path for path in made if path.startswith("src/")]) == 3
    return folder


def run(checkout, *words):
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


OF_ITS_OWN = (
    *("test_it_learns", "test_its_losses_are_those_of_the_live_teacher_where_that_was_stored"),
    *("test_it_goes_beside_kd_and_hviskd", "test_without_a_teacher_it_says_so"),
    "test_weight_scales_all_that_a_method_adds_to_the_learning",
)
BESIDE_OTHERS = (
    "test_nothing_stays_on_the_processor_when_all_is_elsewhere",
    "test_mixed_precision_keeps_the_losses_in_full",
    "test_a_student_that_is_its_teacher_costs_nothing",
    "test_what_reads_no_label_gives_the_same_whatever_the_labels_are",
)
OF_METHODS = (
    *(f"{EVERY_METHOD}::{test}[mimic]" for test in OF_ITS_OWN),
    *(f"{EVERY_METHOD}::{test}[mixture 1]" for test in BESIDE_OTHERS),
    f"{EVERY_METHOD}::test_every_method_is_run_by_a_preset_and_by_a_mixture",
    "tests/distillation/test_registry.py::test_every_module_of_a_method_is_known_by_the_name_it_gives_itself",
)


@pytest.fixture(scope="module")
def passed(checkout):
    """The tests that pass in the checkout, all run by one process, which takes seconds to start."""
    files = ("tests/distillation/methods/test_mimic.py", "tests/annotations/test_circles.py", "tests/cli/test_count.py")
    shown = "tests/cli/test_app.py::test_every_verb_has_examples[count]"
    told = run(checkout, "pytest", "-p", "no:cacheprovider", "-rp", *OF_METHODS, *files, shown)
    assert "skipped" not in told
    return re.findall(r"^PASSED (.+)$", told, re.MULTILINE)


@pytest.mark.slow
def test_the_method_passes_what_every_method_passes(passed):
    assert set(OF_METHODS) < set(passed)
    assert sum(test.startswith("tests/distillation/") for test in passed) == len(OF_METHODS) + 1


@pytest.mark.slow
def test_the_reader_opens_its_file_and_names_damage(passed):
    assert sum(test.startswith("tests/annotations/test_circles.py") for test in passed) == 6


@pytest.mark.slow
def test_the_verb_runs_and_its_help_is_like_the_others(passed):
    assert sum(test.startswith("tests/cli/") for test in passed) == 3


@pytest.mark.slow
def test_what_is_pasted_needs_no_second_thought_of_style(checkout):
    run(checkout, "ruff", "check", "--no-cache", ".")
    run(checkout, "ruff", "format", "--no-cache", "--check", ".")


def test_lines_are_added_where_they_belong(tmp_path):
    (tmp_path / "a.py").write_text("one\ntwo\n")
    follow("`a.py`\n\n```diff\n one\n+more\n```\n", tmp_path)
    assert (tmp_path / "a.py").read_text() == "one\nmore\ntwo\n"
    with pytest.raises(AssertionError, match="has not, or not only once"):
        follow("`a.py`\n\n```diff\n three\n+more\n```\n", tmp_path)


def test_every_room_is_named():
    rooms = {place.parent.name for place in (ROOT / "src" / "hviskd").glob("*/__init__.py")}
    section = PAGE.partition("## The rooms")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)/`", section)) == rooms


def test_the_one_placeholder_is_listed_where_it_is_used():
    pages = [ROOT / "CODE_OF_CONDUCT.md", ROOT / "SECURITY.md"]
    listed = re.search(r"`CONTACT-ADDRESS`.*?\.\n", PAGE, re.DOTALL)[0]
    for page in pages:
        assert "CONTACT-ADDRESS" in page.read_text(encoding="utf-8")
        assert page.name in listed
