"""What was made last, kept within a set size, and made once however many ask for it at a time."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, overload

from cachetools import LRUCache

_Key = TypeVar("_Key", bound=Hashable)
_Made = TypeVar("_Made")


class Kept(Generic[_Key, _Made]):
    """Values by key, of which the longest unused are forgotten; for any number of threads.

    Args:
        most_bytes: Of all of them; what alone is larger is not kept.
        bytes_of: How large a value is.
    """

    def __init__(self, most_bytes: int, bytes_of: Callable[[_Made], int]) -> None:
        self._values: LRUCache[_Key, _Made] = LRUCache(most_bytes, getsizeof=bytes_of)
        self._making: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: _Key) -> _Made | None:
        """Return a value, if it is still there."""
        with self._lock:
            return self._values.get(key)

    @overload
    def made(self, key: _Key, make: Callable[[], _Made]) -> _Made: ...
    @overload
    def made(self, key: _Key, make: Callable[[], _Made | None]) -> _Made | None: ...
    def made(self, key: _Key, make: Callable[[], _Made | None]) -> _Made | None:
        """Return a value, made now if it is not there; None is not kept."""
        with self._lock:
            if (found := self._values.get(key)) is not None:
                return found
            one_at_a_time = self._making.setdefault(key, threading.Lock())
        with one_at_a_time:
            if (found := self.get(key)) is not None:
                return found
            try:
                value = make()
                if value is not None:
                    self._keep(key, value)
            finally:  # only now, lest who asks meanwhile makes it again
                with self._lock:
                    self._making.pop(key, None)
            return value

    def _keep(self, key: _Key, value: _Made) -> None:
        with self._lock:
            if self._values.getsizeof(value) <= self._values.maxsize:
                self._values[key] = value
