"""The command line: one file a verb, which parses, calls and prints; heavy imports live inside the verbs."""

from hviskd.cli.app import main

__all__ = ["main"]
