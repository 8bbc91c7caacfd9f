"""The version, in one place: a checkout that was never installed has it too."""

__version__ = "0.1.0"
DRAWN_BY = "hviskd"  # the program's name, as the pictures that it draws record it
