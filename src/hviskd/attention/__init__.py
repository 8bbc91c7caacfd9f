"""Attention maps of Models in single tiles, and their agreement with an expert.

Names load what they need when first used: to compare tables takes no torch.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.attention.attending import attend
    from hviskd.attention.attention_files import save_attention
    from hviskd.attention.comparing import AttentionComparison, compare_attention
    from hviskd.attention.maps import attention_maps, scaled_maps
    from hviskd.attention.overlap import measure_tile
    from hviskd.attention.result import Attention
    from hviskd.attention.settings import AttentionSettings

_HOMES = {
    "Attention": "result",
    "AttentionComparison": "comparing",
    "AttentionSettings": "settings",
    "attend": "attending",
    "attention_maps": "maps",
    "compare_attention": "comparing",
    "measure_tile": "overlap",
    "save_attention": "attention_files",
    "scaled_maps": "maps",
}

__all__ = [
    "Attention",
    "AttentionComparison",
    "AttentionSettings",
    "attend",
    "attention_maps",
    "compare_attention",
    "measure_tile",
    "save_attention",
    "scaled_maps",
]

__getattr__ = load_on_use(__name__, _HOMES)
