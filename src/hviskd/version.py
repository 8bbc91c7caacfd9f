"""The version, in one place, available also in a checkout that was never installed."""

__version__ = "0.1.0"
DRAWN_BY = "hviskd"  # the program's name, as the pictures that it draws record it
