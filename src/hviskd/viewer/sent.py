"""Reads what the page sends: JSON of a set size and shape, that comes in a set time."""

from typing import TypeVar

import anyio
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from hviskd.errors import first_problem

LARGEST_BYTES = 16 * 2**20  # half a million corners
_PATIENCE_S = 60.0
_AT_A_TIME = 4  # bodies in memory

_Sent = TypeVar("_Sent", bound=BaseModel)


class Inbox:
    """Takes a few bodies at a time, so that many that are large take little memory; the others wait."""

    def __init__(self, *, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._turns = anyio.CapacityLimiter(_AT_A_TIME)

    async def read(self, request: Request, kind: type[_Sent]) -> _Sent:
        """Return the body of a request, checked.

        Raises:
            HTTPException: It is no JSON of this kind, is larger than 16 MiB, or does not come.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise HTTPException(415, "send JSON")
        if not 0 <= _length(request) <= LARGEST_BYTES:
            raise HTTPException(413, f"more than {LARGEST_BYTES // 2**20} MiB, or of unknown size")
        async with self._turns:
            try:
                with anyio.fail_after(self._patience_s):
                    content = await _body(request)
            except TimeoutError as error:
                raise HTTPException(408, f"not sent within {self._patience_s:g} s") from error
            except ClientDisconnect as error:
                raise HTTPException(400, "not sent to its end") from error
            try:
                return kind.model_validate_json(content)
            except ValidationError as error:
                raise HTTPException(422, " ".join(first_problem(error).split())[:300]) from error


def _length(request: Request) -> int:
    """Return the stated length of a body; −1 where none is stated."""
    stated = request.headers.get("content-length", "")
    return int(stated) if stated.isascii() and stated.isdecimal() and len(stated) < 20 else -1


async def _body(request: Request) -> bytes:
    """Return the body, which the server ends where its stated length does."""
    return b"".join([part async for part in request.stream()])
