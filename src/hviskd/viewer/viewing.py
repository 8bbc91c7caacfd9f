"""Opens a viewer on slides: finds them, makes the answers, guards them and listens."""

import secrets
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from hviskd.models import AnyModel
from hviskd.slides import CohortSlide, find_cohort
from hviskd.viewer.access import LOOPBACK, Access, Guard
from hviskd.viewer.answers import Answers
from hviskd.viewer.cut_tiles import CutTiles
from hviskd.viewer.desk import Contents
from hviskd.viewer.drawings import Drawings, DrawnBy
from hviskd.viewer.listening import Listener, bind
from hviskd.viewer.map_shelf import MapShelf
from hviskd.viewer.opinions import Opinions
from hviskd.viewer.shelf import OpenSlides, put_up

if TYPE_CHECKING:
    from hviskd.tiles import TileSet

_FRAME_PX = 720


class Viewer:
    """A running viewer; it is a context manager.

    Attributes:
        address: To open in a browser of this computer; who has it can look at the slides.
        notes: What was found beside the slides and is not shown, a sentence for each kind.
    """

    def __init__(self, access: Access, notes: tuple[str, ...], listener: Listener, answers: Answers) -> None:
        self.address = access.address
        self.notes = notes
        self._access = access
        self._listener = listener
        self._answers = answers

    def show(self) -> bool:
        """Open the page in the user's browser, and return whether there is one.

        Other users of the computer can read the browser's command line: the address in it is void once it was opened.
        """
        shown = webbrowser.open(self._access.address_for_once())
        if not shown:
            self._access.revoke()
        return shown

    def _repr_html_(self) -> str:
        """Show the page in a notebook on this computer; the address in the notebook opens it once."""
        self._access.framed.set()
        port, token = self._access.port, urlsplit(self._access.address_for_once()).query
        frame = f"hviskd-{secrets.token_hex(4)}"
        # A browser keeps the cookie in a frame only where both pages have the same name of this computer.
        return (
            f'<iframe id="{frame}" title="hviskd" width="100%" height="{_FRAME_PX}" style="border:0"></iframe><script>'
            f"if (['127.0.0.1', 'localhost'].includes(location.hostname)) document.getElementById('{frame}').src = "
            f"`http://${{location.hostname}}:{port}/?{token}`;</script>"
        )

    def wait(self) -> None:
        """Serve until interrupted."""
        self._listener.wait()

    def close(self) -> None:
        """Stop, end a `segment` that was started on the page, and close the slides."""
        self._answers.end()
        self._listener.close()
        self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class OnSlides:
    """What a viewer shows on its slides.

    Attributes:
        maps: Folders that `segment_cohort()` wrote, or the folders of single maps.
        drawn: What an expert drew.
        models: Models, their folders or finished Runs, to ask about places without a map, and where they look.
        tiles: A TileSet that was cut from them, or its folder.
    """

    maps: Sequence[Path] = ()
    drawn: DrawnBy | None = None
    models: Sequence[AnyModel] = ()
    tiles: "TileSet | Path | str | None" = None


def open_viewer(
    slides: Path | str | Sequence[Path | str | CohortSlide],
    shown: OnSlides | None = None,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    icc: bool = False,
    spell: Callable[[str], str] = str,
) -> Viewer:
    """Serve slides to a browser of this computer, at an address that only its user learns.

    Args:
        slides: Slides, folders of slides or CSVs, as for `find_cohort`, or its result.
        shown: What is shown on them; by default nothing.
        host: This computer alone by default; an address or name of it lets other computers reach the viewer, which
            still need the token, 0.0.0.0 is all of them. What is sent is not encrypted.
        port: Any free one by default.
        icc: Convert pixels to sRGB by each slide's ICC profile, if it has one.
        spell: Changes the wording of problems that the page shows, such as the spelling of parameters.

    Raises:
        DataError: There are no slides, a folder does not exist, or the port is taken.
        ModelError: A Model is missing or damaged, or does not know its µm/px.
    """
    shown = shown or OnSlides()
    cohort = find_cohort(slides)
    maps = MapShelf(shown.maps, growing=bool(shown.models))
    opened = OpenSlides(icc=icc)
    opinions = Opinions(opened, maps, shown.models)
    drawings = Drawings(shown.drawn, [slide.path for slide in cohort])
    contents = Contents(put_up(cohort), opened, maps, drawings, opinions, CutTiles(shown.tiles))
    answers = Answers(contents, spell=spell)
    listener = bind(port, host)
    access = Access(listener.getsockname()[1], host=host)
    notes = (*cohort.notes, *maps.notes)
    return Viewer(access, notes, Listener(Guard(answers.app(), access), listener), answers)
