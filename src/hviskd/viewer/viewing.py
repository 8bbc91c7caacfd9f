"""Opens a viewer on slides: finds them, makes the answers, guards them and listens."""

import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hviskd.models import AnyModel
from hviskd.slides import CohortSlide, find_cohort
from hviskd.viewer.access import Access, Guard
from hviskd.viewer.answers import Answers
from hviskd.viewer.desk import Contents
from hviskd.viewer.drawings import Drawings, DrawnBy
from hviskd.viewer.listening import Listener, bind
from hviskd.viewer.map_shelf import MapShelf
from hviskd.viewer.opinions import Opinions
from hviskd.viewer.shelf import OpenSlides, put_up


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
    """

    maps: Sequence[Path] = ()
    drawn: DrawnBy | None = None
    models: Sequence[AnyModel] = ()


def open_viewer(
    slides: Path | str | Sequence[Path | str | CohortSlide],
    shown: OnSlides | None = None,
    *,
    port: int = 0,
    icc: bool = False,
    spell: Callable[[str], str] = str,
) -> Viewer:
    """Serve slides to a browser of this computer, at an address that only its user learns.

    Args:
        slides: Slides, folders of slides or CSVs, as for `find_cohort`, or its result.
        shown: What is shown on them; by default nothing.
        port: On 127.0.0.1; any free one by default.
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
    contents = Contents(put_up(cohort), opened, maps, drawings, opinions)
    answers = Answers(contents, spell=spell)
    listener = bind(port)
    access = Access(listener.getsockname()[1])
    notes = (*cohort.notes, *maps.notes)
    return Viewer(access, notes, Listener(Guard(answers.app(), access), listener), answers)
