"""Runs work in threads and yields the results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")


def in_threads(
    work: Callable[[_Given], _Result], items: Iterable[_Given], *, threads: int, ahead: int
) -> Iterator[_Result]:
    """Yield `work(item)` in the order of `items`, with at most `ahead` items in progress or waiting.

    What `work` raises is raised here, in its turn; works that have not begun by then never begin.
    """
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
