"""Cleans text from other programs' files of control characters."""


def one_line(text: str) -> str:
    """Return a text with spaces for all non-printable characters, including line breaks, and none around it."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
