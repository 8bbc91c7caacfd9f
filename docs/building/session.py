"""Runs the tutorials and keeps what they print and draw, for the site and as notebooks.

    python docs/building/session.py

Comments below a block (`building.steps`) say what is expected of it. Every command must end with status 0, or as
`<!-- ends with: 1 -->` says, and print every part of the sentence that `…` separates; a file that is shown must exist.
A block of YAML with `<!-- saved as: NAME -->` is written to that file. With `<!-- meanwhile: draw -->`, a hand
(`building.hand`) works in the viewer that the command opens. The site shows the whole output and the pictures below the
block. All tutorials run in one folder, one after the other: the later ones go on with what the first one made. Nothing
runs again while neither the pages nor the code have changed.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the modules beside this one, where it is run as a script

from building import hand
from building.notebook import notebook
from building.operators import declare_operators_of_torchvision
from building.steps import Done, Step, parts

ROOT = Path(__file__).parents[2]
TUTORIALS = ("first", "pretrained", "cohort", "loop")  # pages of docs/, in the order in which they are run
KEPT = ROOT / "docs" / "_session"  # ignored by git
_ADDRESS = re.compile(r"(?<=http://127\.0\.0\.1:)\S+")  # of a viewer, another one each time
_WIDTH = 110  # of sentences
SURROUNDINGS = {
    "COLUMNS": "98",
    "MPLBACKEND": "agg",
    "OMP_NUM_THREADS": "1",
}  # of networks as small, threads cost more


class UnlikeError(Exception):
    """A step did not do what its page says."""


def printed(name: str, page: str) -> str:
    """Return the text of a tutorial with what its steps printed and drew, for the site."""
    outputs = iter(json.loads((KEPT / "printed.json").read_text(encoding="utf-8"))["printed"][name])
    text = "".join(part if isinstance(part, str) else _shown(name, part, next(outputs)) for part in parts(page))
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{{download}}`This page as a notebook <_session/{name}.ipynb>`\n{rest}"


def _shown(name: str, step: Step, said: str) -> str:
    output = f"\n```text\n{said}```\n" if said.strip() else ""
    drawn = (f"\n![{Path(kept).stem}](_session/{kept})\n" for kept in step.pictures(name))
    return f"```{step.kind}\n{step.text}```\n{output}{''.join(drawn)}"


def keep(pages: Mapping[str, str]) -> None:
    """Run tutorials in a folder of their own and keep the outputs, unless they are those of these pages and this code.

    Args:
        pages: The text of each by its name, in the order in which they are run.

    Raises:
        UnlikeError: A step failed, or printed something else than its page says.
    """
    key, place = _key(pages.values()), KEPT / "printed.json"
    if place.is_file() and json.loads(place.read_text(encoding="utf-8"))["key"] == key:
        return
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir()
    outputs = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ |= SURROUNDINGS | {"HVISKD_CACHE": str(Path(folder, ".cache"))}
        declare_operators_of_torchvision()  # this imports torch, which looks at its surroundings then
        for name, page in pages.items():
            done = list(_run(name, page))
            outputs[name] = [part.said for part in done if isinstance(part, Done)]
            (KEPT / f"{name}.ipynb").write_text(notebook(done), encoding="utf-8")
    place.write_text(json.dumps({"key": key, "printed": outputs}, ensure_ascii=False), encoding="utf-8")


def _run(name: str, page: str) -> Iterator[str | Done]:
    """Give the text of a page, and its steps as soon as they were run in this folder."""
    names: dict[str, object] = {}
    for part in parts(page):
        if isinstance(part, str):
            yield part
            continue
        try:
            said = _said(part, names)
            _require(part.note("prints"), said)
        except UnlikeError as error:
            raise UnlikeError(f"docs/{name}.md: {part.text}{error}") from error.__cause__
        for kept, drawn in part.pictures(name).items():
            shutil.copy(drawn, KEPT / kept)
        yield Done(part, said, tuple(KEPT / kept for kept in part.pictures(name)))


def _said(step: Step, names: dict[str, object]) -> str:
    """Do what a step says, and return what it prints; `names` are those of the page's Python."""
    if step.kind == "yaml":
        Path(step.note("saved as")).write_text(step.text, encoding="utf-8")
        return ""
    if step.kind == "python":
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile(step.text, "a tutorial", "exec"), names)  # noqa: S102 - the page's own code
        return _tidy(said.getvalue())
    with hand.at_work(step.note("meanwhile")):
        return _tidy("".join(_command(line, int(step.note("ends with", "0"))) for line in step.commands))


def _require(expected: str, said: str) -> None:
    """Reject what a step printed if a part of what its page expects is not in it."""
    for part in map(str.strip, expected.split("…")):
        if part not in said:
            raise UnlikeError(f"printed\n{said}\nand not\n{part}")


def _command(line: str, status: int) -> str:
    from typer.testing import CliRunner

    from hviskd.cli.app import app

    done = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
    if done.exit_code != status:
        raise UnlikeError(f"ended with {done.exit_code}\n{done.output}") from done.exception
    said = done.output if status else done.stdout  # what went wrong is told on stderr
    return _ADDRESS.sub("…", said.replace(f"{Path.cwd()}/", ""))


def _tidy(said: str) -> str:
    """Leave out blank lines at the edges and spaces at the ends of lines, which tables have; break long sentences."""
    lines = [line.rstrip() for line in said.splitlines()]
    lines = [line if set(line) & set("│┃━─") else textwrap.fill(line, _WIDTH) for line in lines]
    return "\n".join(lines).strip("\n") + "\n"


def _key(pages: Iterable[str]) -> str:
    digest = hashlib.sha256("\f".join(pages).encode())
    code = (path for kind in ("py", "yaml") for path in ROOT.glob(f"src/hviskd/**/*.{kind}"))  # recipes are YAML
    for path in sorted([*code, *Path(__file__).parent.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    try:
        keep({name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in TUTORIALS})
    except UnlikeError as error:
        sys.exit(str(error))
