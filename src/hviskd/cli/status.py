"""The exit statuses of the command line: what a script, a queue or an assistant program learns without reading text."""

from enum import IntEnum


class Status(IntEnum):
    """The exit status of a verb; beyond these, 128 + N says that the system ended the process with signal N."""

    DONE = 0  # everything that was asked for is done
    PARTLY = 1  # the rest is done, but some input failed, was left out, or remains; or a check found something
    REFUSED = 2  # nothing was done: wrong usage, a bad file, or an output that exists; one line says what to do
    BROKEN = 3  # an error in hviskd or below it; the traceback is what a bug report needs
    INTERRUPTED = 130  # by Ctrl+C, as shells have it; what to repeat to continue is said

    @classmethod
    def partly(cls, failed: object) -> "Status":
        """Return PARTLY if anything failed or is left (a count, a list, a truth value), otherwise DONE."""
        return cls.PARTLY if failed else cls.DONE
