"""Runs a tutorial as it is printed, and keeps what it prints and draws for the site: `python docs/building/session.py`.

A page of Markdown is a session where comments, which no reader sees, stand below its blocks:

```sh
hviskd tiles split tiles --by patient
```

<!-- prints: No patient appears in more than one split -->
<!-- shows: tiles/contact-sheet.png -->

Every command must end with status 0 and print every part of the sentence that `…` separates; a file must exist. A block
of YAML with `<!-- saved as: NAME -->` is written to that file. The site shows the whole output below the block, and the
picture. Nothing runs again while neither the page nor the code has changed.
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
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "first.md"
KEPT = ROOT / "docs" / "_session"  # ignored by git
STEP = re.compile(
    r"^```(?P<kind>sh|yaml|python)\n(?P<text>.*?)^```\n\n<!-- (?P<does>prints|saved as): (?P<said>.*?) -->"
    r"(?P<shown>(?:\n<!-- shows: .*? -->)*)$",
    re.DOTALL | re.MULTILINE,
)
_SHOWN = re.compile(r"<!-- shows: (.*?) -->")
_WIDTH = 110  # of sentences
SURROUNDINGS = {
    "COLUMNS": "98",
    "MPLBACKEND": "agg",
    "OMP_NUM_THREADS": "1",
}  # of networks as small, threads cost more


class UnlikeError(Exception):
    """A command did not do what the page says."""


def printed(page: str) -> str:
    """Return the text of the page with what its blocks printed and drew, for the site."""
    kept = json.loads((KEPT / "printed.json").read_text(encoding="utf-8"))
    outputs = iter(kept["printed"])

    def with_output(step: re.Match[str]) -> str:
        said = next(outputs)
        output = f"\n```text\n{said}```\n" if said.strip() else ""
        pictures = "\n".join(
            f"\n![{Path(name).stem}](_session/{_flat(name)})" for name in _SHOWN.findall(step["shown"])
        )
        return f"```{step['kind']}\n{step['text']}```\n{output}{pictures}"

    return STEP.sub(with_output, page)


def keep(page: str) -> None:
    """Run the page in a folder of its own and keep the outputs, unless they are those of this page and this code."""
    key = _key(page)
    place = KEPT / "printed.json"
    if place.is_file() and json.loads(place.read_text(encoding="utf-8"))["key"] == key:
        return
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ |= SURROUNDINGS | {"HVISKD_CACHE": str(Path(folder, ".cache"))}
        outputs = list(_run(page))
    place.write_text(json.dumps({"key": key, "printed": outputs}, ensure_ascii=False), encoding="utf-8")


def _run(page: str) -> Iterator[str]:
    names: dict[str, object] = {}
    for step in STEP.finditer(page):
        if step["does"] == "saved as":
            Path(step["said"]).write_text(step["text"], encoding="utf-8")
            yield ""
            continue
        said = _python(step["text"], names) if step["kind"] == "python" else _commands(step["text"])
        for part in step["said"].split("…"):
            if part.strip() not in said:
                raise UnlikeError(f"{step['text']}\nprinted\n{said}\nand not\n{part.strip()}")
        for name in _SHOWN.findall(step["shown"]):
            shutil.copy(name, KEPT / _flat(name))
        yield said


def _commands(text: str) -> str:
    from typer.testing import CliRunner

    from hviskd.cli.app import app

    said = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        done = CliRunner().invoke(app, words[1:])
        if done.exit_code != 0:
            raise UnlikeError(f"{line}\nended with {done.exit_code}\n{done.output}")
        said.append(done.stdout.replace(f"{Path.cwd()}/", ""))
    return _tidy("".join(said))


def _python(text: str, names: dict[str, object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(text, str(PAGE), "exec"), names)  # noqa: S102 - the page's own code
    return _tidy(said.getvalue())


def _tidy(said: str) -> str:
    """Leave out blank lines at the edges and spaces at the ends of lines, which tables have; break long sentences."""
    lines = [line.rstrip() for line in said.splitlines()]
    lines = [line if set(line) & set("│┃━") else textwrap.fill(line, _WIDTH) for line in lines]
    return "\n".join(lines).strip("\n") + "\n"


def _flat(name: str) -> str:
    return name.replace("/", "-")


def _key(page: str) -> str:
    digest = hashlib.sha256(page.encode())
    code = (path for kind in ("py", "yaml") for path in ROOT.glob(f"src/hviskd/**/*.{kind}"))  # recipes are YAML
    for path in sorted([*code, Path(__file__)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    try:
        keep(PAGE.read_text(encoding="utf-8"))
    except UnlikeError as error:
        sys.exit(f"{PAGE.relative_to(ROOT)}: {error}")
