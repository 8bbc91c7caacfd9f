"""Examines the installation: what `hviskd doctor` prints."""

import os
import platform
import tempfile
import webbrowser
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hviskd import telemetry
from hviskd.installation.libraries import BINARIES, CORE, EXTRAS, licence_of, version_of
from hviskd.installation.probing import probe
from hviskd.processor import cpu_name, memory_bytes, usable_cpus
from hviskd.storage import cache_folder
from hviskd.version import __version__

_SECONDS = 300.0  # a first import from a slow disk takes a minute
_ENGINES = ("torch", "onnxruntime", "openvino")  # as their libraries are called
_NEEDED_ENGINES = ("torch", "onnxruntime")


@dataclass(frozen=True)
class Library:
    """A library, by the name that pip knows.

    Attributes:
        version: None if it is not installed.
        licence: As the library states it.
        problem: Why it cannot be imported; None if it can, or if it is not installed.
    """

    name: str
    version: str | None
    licence: str | None
    problem: str | None


@dataclass(frozen=True)
class EngineCheck:
    """What came of running a small network by an engine.

    Attributes:
        stated: Engine, version, precision and device.
        largest_difference: Of a probability to torch's.
        problem: Why it cannot be used; None if it can.
    """

    name: str
    stated: str | None
    largest_difference: float | None
    problem: str | None


@dataclass(frozen=True)
class ExtraCheck:
    """Whether an extra can be used.

    Attributes:
        serves: What needs it.
        verbs: In which verbs of the command line that is.
        libraries: What it consists of.
        problem: What is missing or broken; None if it can be used.
        install: The command that installs it.
    """

    name: str
    serves: str
    verbs: tuple[str, ...]
    libraries: tuple[Library, ...]
    problem: str | None
    install: str


@dataclass(frozen=True)
class Place:
    """A folder.

    Attributes:
        writable: Whether files can be written there; of a folder that does not exist, whether it can be made.
        bytes: Of the files in it; None where that was not counted.
    """

    path: str
    writable: bool
    bytes: int | None = None


@dataclass(frozen=True)
class Installation:
    """What works on this computer.

    Attributes:
        cores: Cores that this process may use.
        memory_bytes: Of the computer, or of its container; None if unknown.
        gpu: The GPU that torch uses; None if there is none.
        libraries: Those that every installation has.
        browser: Whether a browser was found, for the viewer; an address can be opened elsewhere, too.
        telemetry_off: Whether the telemetry of dependencies is switched off.
    """

    hviskd: str
    python: str
    system: str
    processor: str
    cores: int
    memory_bytes: int | None
    gpu: str | None
    libraries: tuple[Library, ...]
    engines: tuple[EngineCheck, ...]
    extras: tuple[ExtraCheck, ...]
    cache: Place
    folder: Place
    browser: bool
    telemetry_off: bool

    @property
    def problems(self) -> list[str]:
        """What keeps the core verbs from working, one line each: broken libraries and engines."""
        broken = [f"{each.name}: {each.problem}" for each in self.libraries if each.problem]
        absent = [
            f"{each.name}: not installed; pip install {each.name}"
            for each in self.libraries
            if each.version is None and not each.problem
        ]
        engines = [
            f"engine {each.name}: {each.problem}"
            for each in self.engines
            if each.problem and each.name in _NEEDED_ENGINES
        ]
        return [*absent, *broken, *engines]

    @property
    def works(self) -> bool:
        """Whether the core verbs work: tiles, train, distill, evaluate, segment."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {"works": self.works, "problems": self.problems} | asdict(self)


def examine_installation() -> Installation:
    """Examine what is installed, in some ten seconds; nothing is changed, and no library is imported here."""
    modules = {**CORE, **{name: module for extra in EXTRAS for name, module in extra.modules.items()}}
    installed = {name: module for name, module in modules.items() if version_of(name)}
    imported = probe("import", list(installed.values()), _SECONDS)
    found = {name: _library(name, imported.get(module)) for name, module in modules.items()}
    return Installation(
        hviskd=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        processor=cpu_name(),
        cores=usable_cpus(),
        memory_bytes=memory_bytes(),
        gpu=imported.get("torch", {}).get("gpu"),
        libraries=(*(found[name] for name in CORE), *(_library(name, None) for name in BINARIES)),
        engines=_engines(found),
        extras=tuple(
            ExtraCheck(
                name=extra.name,
                serves=extra.serves,
                verbs=extra.verbs,
                libraries=tuple(found[name] for name in extra.modules),
                problem=_first_problem([found[name] for name in extra.modules]),
                install=extra.install,
            )
            for extra in EXTRAS
        ),
        cache=_place(cache_folder(), counted=True),
        folder=_place(Path.cwd(), counted=False),
        browser=_has_browser(),
        telemetry_off=telemetry.is_off(),
    )


def _library(name: str, imported: dict[str, Any] | None) -> Library:
    return Library(name, version_of(name), licence_of(name), None if imported is None else imported["problem"])


def _first_problem(libraries: list[Library]) -> str | None:
    for each in libraries:
        if each.version is None:
            return f"{each.name} is not installed"
        if each.problem:
            return f"{each.name}: {each.problem}"
    return None


def _engines(found: dict[str, Library]) -> tuple[EngineCheck, ...]:
    """Check the engines that are installed; none can be compared where torch is broken."""
    names = [name for name in _ENGINES if found[name].version]
    if found["torch"].problem or "torch" not in names:
        return tuple(EngineCheck(name, None, None, "cannot be checked without torch") for name in names)
    checked = probe("engines", names, _SECONDS)
    return tuple(
        EngineCheck(name, told.get("stated"), told.get("largest_difference"), told["problem"])
        for name, told in checked.items()
    )


def _place(path: Path, *, counted: bool) -> Place:
    there = next((each for each in (path, *path.parents) if each.exists()), path)
    try:
        with tempfile.TemporaryFile(dir=there):
            writable = True
    except OSError:
        writable = False
    return Place(str(path), writable, _size(path) if counted else None)


def _size(folder: Path) -> int:
    """Return the bytes of all files in a folder; what vanishes or cannot be read meanwhile counts nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(where, name).stat().st_size
            except OSError:
                continue
    return total


def _has_browser() -> bool:
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
