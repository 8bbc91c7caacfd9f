"""`hviskd doctor`: what works on this computer, and what is missing for which verb."""

from typing import TYPE_CHECKING

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.status import Status

if TYPE_CHECKING:
    from hviskd.installation import Installation

_KEY_LIBRARIES = ("torch", "onnxruntime", "lightning-fabric", "openslide-python", "pyvips", "numpy", "pandas")


@answering
def doctor() -> Answer:
    """Check the installation: libraries, engines, GPU, memory, cache, and what is missing for which verb.

    Every library is imported, and every engine runs a small network, in processes of their own. Nothing is changed.
    Exit status 0 if everything that the core verbs need works, otherwise 1; missing extras do not count. With --json,
    licences are listed, too.

    Examples:

      hviskd doctor

      hviskd doctor --json > doctor.json
    """
    from hviskd.installation import examine_installation

    found = examine_installation()
    _print(found)
    return Answer(found.as_json(), Status.partly(not found.works))


def _print(found: "Installation") -> None:
    memory = f"{found.memory_bytes / 2**30:.1f} GiB" if found.memory_bytes else "unknown"
    versions = {each.name: each.version for each in found.libraries}
    _row("hviskd", f"{found.hviskd}, Python {found.python}")
    _row("system", found.system)
    _row("computer", f"{found.processor}, {found.cores} usable cores, {memory} of memory")
    _row("GPU", found.gpu or "none that torch can use")
    _row("libraries", ", ".join(f"{name} {versions[name]}" for name in _KEY_LIBRARIES if versions[name]))
    for engine in found.engines:
        checked = f"{engine.stated}: at most {engine.largest_difference:.1e} from torch" if engine.stated else ""
        _row("engine", checked or f"{engine.name}: {engine.problem}")
    size = f"{(found.cache.bytes or 0) / 2**20:,.0f} MiB in use"
    _row("cache", f"{found.cache.path}, {size}{_unless(found.cache.writable)}")
    _row("folder", f"{found.folder.path}{_unless(found.folder.writable)}")
    _row("browser", "found" if found.browser else "none; open the address that `hviskd view` prints elsewhere")
    _row("telemetry", "off" if found.telemetry_off else "left on by your own setting")
    for extra in found.extras:
        licences = ", ".join(f"{each.name} {each.version} ({each.licence})" for each in extra.libraries)
        lacking = f"{extra.problem}\nfor {extra.serves}, in {', '.join(extra.verbs)}: {extra.install}"
        _row("extra", f"{extra.name}: {lacking if extra.problem else licences}")
    if found.works:
        typer.echo("Everything that the core verbs need works.")
    for problem in found.problems:
        _row("problem", problem)


def _row(name: str, value: str) -> None:
    first, *others = value.splitlines()
    typer.echo(f"{name:<11}{first}")
    for line in others:
        typer.echo(f"{'':<11}{line}")


def _unless(writable: bool) -> str:
    return "" if writable else ", cannot be written to"
