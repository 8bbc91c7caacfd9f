"""`python -m hviskd`, the same as the command `hviskd`."""

from hviskd.cli import main

if __name__ == "__main__":
    main()
