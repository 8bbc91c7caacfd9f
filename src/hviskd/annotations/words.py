"""Keeps words out of foreign files from breaking lines or steering a terminal; the readers of labels use it."""


def one_line(text: str) -> str:
    """Give a text with a blank for every character that cannot be printed, line breaks included, and none around it."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
