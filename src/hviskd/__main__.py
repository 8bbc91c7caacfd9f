"""Runs the command `hviskd` as `python -m hviskd`."""

from hviskd.cli import main

if __name__ == "__main__":
    main()
