"""Engines: whatever runs a Model fastest on the computer at hand, each checked against torch before it is trusted.

`open_engine` is where every engine comes from; segmentation and the command line call it.
"""

from hviskd.models.engines.engine import Engine
from hviskd.models.engines.opening import open_engine

__all__ = ["Engine", "open_engine"]
