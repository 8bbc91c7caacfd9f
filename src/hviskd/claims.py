"""Lets several processes share the work on one output: one claims each piece, the others wait or take another.

A claim is the operating system's lock on an empty file. It ends with its process, however that ends and on whichever
computer, so nothing is held by a process that was killed.
"""

import contextlib
import errno
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from hviskd.storage import fingerprint, naming, write_text

LOOK_S = 0.1  # how often a process that waits looks again
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # of file systems that know none
_REQUEST = "request"


class Claims:
    """The claims of this process on pieces of one output; what is still held at the end of the block is released.

    Args:
        folder: Hidden folder of the lock files; the last process to leave removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[str, FileLock | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._held):
            self.release(name)
        self._clear()

    def take(self, name: str) -> bool:
        """Claim a piece of work; return whether this process has it now.

        Where the file system knows no locks, every process gets every piece.

        Raises:
            OSError: The folder cannot be written to.
        """
        path = self.folder / fingerprint(name)
        lock = FileLock(path, thread_local=False)  # a piece may be released in another thread
        while True:
            self._make_folder()
            try:
                locked = _locked(lock)
            except (FileNotFoundError, FileExistsError):  # the last process has just removed the folder
                continue
            if locked is False:
                return False
            if locked is None or path.exists():
                self._held[name] = lock if locked else None
                return True
            lock.release()  # it was removed before it was locked

    def release(self, name: str) -> None:
        """Release a piece of work that is held."""
        lock = self._held.pop(name)
        if lock is not None:
            lock.release()

    @contextlib.contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Hold a piece of work during a block; wait until it is free."""
        while not self.take(name):
            time.sleep(LOOK_S)
        try:
            yield
        finally:
            self.release(name)

    def _make_folder(self) -> None:
        """Make the folder, which the last process to leave may remove at any moment: also while it is being made."""
        while True:
            try:
                with naming(self.folder.parent):
                    return self.folder.mkdir(parents=True, exist_ok=True)
            except FileExistsError:  # it was there, and a moment later it was not
                if self.folder.is_file() or self.folder.is_symlink():
                    raise

    def _clear(self) -> None:
        """Remove the folder if no process holds anything in it."""
        locks = []
        with contextlib.suppress(Timeout, OSError, NotImplementedError):
            for path in self.folder.iterdir():
                lock = FileLock(path, thread_local=False)
                lock.acquire(timeout=0)
                locks.append(lock)
            shutil.rmtree(self.folder, ignore_errors=True)
        for lock in locks:
            with contextlib.suppress(OSError):
                lock.release()


class Unclaimed(Claims):
    """Stands in for claims where no other process is given the same pieces: each is free, and no file is locked."""

    def __init__(self) -> None:
        super().__init__(Path())

    def take(self, name: str) -> bool:
        """Take a piece of work."""
        self._held[name] = None
        return True

    def _clear(self) -> None:
        """Leave no folder, for there is none."""


def is_claimed(folder: Path, name: str) -> bool | None:
    """Return whether some process holds a claim now; None where the file system knows no locks.

    Args:
        folder: Hidden folder of the lock files.
        name: The piece of work.
    """
    path = folder / fingerprint(name)
    if not path.exists():
        return False
    lock = FileLock(path, thread_local=False)
    try:
        locked = _locked(lock)
    except OSError:
        return False
    if locked:
        lock.release()
    return None if locked is None else not locked


def any_claimed(folder: Path) -> bool:
    """Return whether some process holds a claim in a folder, or may, where the file system knows no locks.

    Args:
        folder: Of the lock files; it need not exist.
    """
    try:
        locks = [FileLock(path, thread_local=False) for path in folder.iterdir()]
    except FileNotFoundError:
        return False
    for lock in locks:
        try:
            locked = _locked(lock)
        except FileNotFoundError:  # the last process has just removed the folder
            return False
        if not locked:
            return True
        lock.release()
    return False


def _locked(lock: FileLock) -> bool | None:
    """Lock a file unless another process holds it; None where the file system knows no locks.

    Raises:
        OSError: The file cannot be made.
    """
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


@contextlib.contextmanager
def turn(output: Path, *request: object, waiting: Callable[[], object] = lambda: None) -> Iterator[bool]:
    """Let one process at a time write an output that is written as a whole; wait for the others.

    Args:
        output: The file or folder that is written in the block.
        request: What is to be written, as JSON values.
        waiting: Called when another process turns out to be writing.

    Yields:
        True if the process that was waited for has written just what is requested, so that nothing is left to do.
    """
    output = output.absolute()
    before, mine = _state(output), fingerprint(*request)
    theirs: str | None = None
    with Claims(output.parent / f".claims-{output.name}") as claims:
        note = claims.folder / _REQUEST
        while not claims.take(output.name):
            if theirs is None:
                waiting()
                theirs = ""
            with contextlib.suppress(OSError):
                theirs = note.read_text(encoding="utf-8")
            time.sleep(LOOK_S)
        write_text(note, mine)
        yield theirs == mine and _state(output) not in (None, before)


def _state(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file or folder is replaced; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
