"""The command `hviskd`: registers the verbs, and prints a user's mistake as one line with exit status 2."""

import errno
import inspect
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hviskd.cli.adapt import adapt
from hviskd.cli.agree import agree
from hviskd.cli.annotations import annotations_app
from hviskd.cli.attend import attend
from hviskd.cli.calibrate import calibrate
from hviskd.cli.compare import compare
from hviskd.cli.demo import demo
from hviskd.cli.doctor import doctor
from hviskd.cli.evaluate import evaluate
from hviskd.cli.export import export
from hviskd.cli.figures import figures_app
from hviskd.cli.networks import networks
from hviskd.cli.predict import predict
from hviskd.cli.profile import profile
from hviskd.cli.quantize import quantize
from hviskd.cli.recipes import recipes
from hviskd.cli.relations import relations
from hviskd.cli.report import report
from hviskd.cli.segment import segment
from hviskd.cli.slides import slides_app
from hviskd.cli.spelling import as_options, invoked
from hviskd.cli.status import Status
from hviskd.cli.synth import synth
from hviskd.cli.tiles import tiles_app
from hviskd.cli.tiles_cut import cut
from hviskd.cli.train import distill, train
from hviskd.cli.tune import tune
from hviskd.cli.view import view
from hviskd.errors import HviskdError, in_words
from hviskd.processor import collect_garbage_rarely, let_threads_sleep
from hviskd.version import DISCLAIMER, __version__

_CONTINUING = ("adapt", "compare", "cut", "segment", "tune")  # verbs that keep what is finished without being asked
_NO_ACCESS, _NO_ROOM = "change its permissions, or choose another place", "free some space, or choose another disk"
_REMEDIES = {errno.EACCES: _NO_ACCESS, errno.EPERM: _NO_ACCESS, errno.EROFS: _NO_ACCESS, errno.ENOSPC: _NO_ROOM}
_WORDS = "hviskd.words"  # under which a context keeps the words of its command line


class _Verbs(TyperGroup):
    """Prints an error that the user can correct as one line; `--debug` shows the traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        verb = invoked(self, ctx.meta[_WORDS])
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print(f"interrupted{_how_to_go_on(verb)}", file=sys.stderr)  # noqa: T201
            raise typer.Exit(Status.INTERRUPTED) from None
        except BrokenPipeError:  # whoever read our output has seen enough
            raise typer.Exit(Status.PARTLY) from None
        except (HviskdError, OSError) as error:
            if isinstance(error, OSError) and error.errno is None:
                raise
            if ctx.params.get("debug"):
                traceback.print_exc()
            print(f"error: {as_options(_one_line(error), verb.params)}", file=sys.stderr)  # noqa: T201
            raise typer.Exit(Status.REFUSED) from error


app = typer.Typer(
    name="hviskd",
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Distil large tissue classifiers into small ones, measure the gain, and map whole slides.\n\n"
    "A TileSet is a folder of labelled tiles, a run the folder of one training, and a Model a folder with a trained "
    "network and its card.\n\n" + DISCLAIMER,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"hviskd {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _top(
    debug: Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Take the options that precede any verb."""


app.add_typer(slides_app, name="slides")
app.add_typer(annotations_app, name="annotations")
tiles_app.command()(cut)
app.add_typer(tiles_app, name="tiles")
app.add_typer(figures_app, name="figures")
_VERBS = (
    train,
    distill,
    adapt,
    segment,
    predict,
    view,
    evaluate,
    calibrate,
    attend,
    agree,
    profile,
    relations,
    tune,
    compare,
    report,
)
_HELPERS = (
    doctor,
    networks,
    recipes,
    demo,
    synth,
    quantize,
    export,
)
for verb in (*_VERBS, *_HELPERS):
    app.command()(verb)


def _flowing(text: str) -> str:
    """Join the lines of each paragraph, which a terminal wraps at its own width; a bracket is no markup."""
    paragraphs = inspect.cleandoc(text).replace("[", r"\[").split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


for part in (app, slides_app, annotations_app, tiles_app, figures_app):
    for command in part.registered_commands:
        command.help = _flowing(command.callback.__doc__ or "") if command.callback else None


def _how_to_go_on(verb: Any) -> str:
    """Return how to continue an interrupted verb, if possible."""
    if any(parameter.name == "resume" for parameter in verb.params):
        return "; repeat the command with --resume to continue"
    return "; repeat the command to continue" if verb.name in _CONTINUING else ""


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, HviskdError):
        said, remedy = in_words(error, "file system"), _REMEDIES.get(error.errno or 0)
        return said if remedy is None or "; " in said else f"{said}; {remedy}"  # who raised it may have said what to do
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(error)).split())


def main() -> None:
    """Run the command line."""
    let_threads_sleep()
    collect_garbage_rarely()
    try:
        app()
    except Exception:  # noqa: BLE001  # a bug has a status of its own, so that no script takes it for a slide that failed
        traceback.print_exc()
        sys.exit(Status.BROKEN)
