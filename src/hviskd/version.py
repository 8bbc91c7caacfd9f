"""What every output says of the program: its name, its version, and what it is not for."""

__version__ = "0.1.0"  # available also in a checkout that was never installed
DISCLAIMER = "Research software, not a medical device."
NOTICE = f"{DISCLAIMER} Do not use its results to make decisions about patients."
DRAWN_BY = "hviskd"  # the program's name, as the pictures that it draws record it
