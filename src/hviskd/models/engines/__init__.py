"""Inference engines: the fastest way to run a Model on this computer, each checked against torch.

`open_engine` is where every engine comes from; segmentation and the command line call it.
"""

from hviskd.models.engines.engine import Engine
from hviskd.models.engines.opening import open_engine

__all__ = ["Engine", "open_engine"]
