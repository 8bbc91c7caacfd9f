"""The smallest networks of timm of each family, made smaller still where their arguments allow it."""

from hviskd.networks import create_network

_FOUR = {"depth": 4, "embed_dim": 48, "num_heads": 2}
TIMM = {
    "timm:vit_tiny_patch16_224": _FOUR,
    "timm:vit_small_patch14_reg4_dinov2": _FOUR,  # four registers
    "timm:vit_small_patch16_224": {**_FOUR, "mlp_layer": "swiglu_packed", "act_layer": "silu", "reg_tokens": 2},
    "timm:vit_base_patch16_siglip_224": _FOUR,  # no class token, and would pool by attention
    "timm:eva02_tiny_patch14_224": _FOUR,  # SwiGLU, rotary positions, would norm after pooling
    "timm:swin_tiny_patch4_window7_224": {"embed_dim": 12, "depths": [1, 1, 2, 1], "num_heads": [1, 2, 2, 4]},
    "timm:davit_tiny": {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_heads": [1, 2, 3, 4]},
    "timm:crossvit_tiny_240": {"embed_dim": [12, 24], "num_heads": [2, 2], "depth": [[1, 1, 0]] * 3},
    "timm:convnext_atto": {"depths": [1, 1, 2, 1], "dims": [8, 16, 24, 32]},
    "timm:efficientnet_lite0": {},
    "timm:regnetx_002": {},
    "timm:resnet10t": {},
}
# One of each kind of module that writing, reading and taking weights could treat in its own way.
ONE_OF_EACH_KIND = [
    name for name in TIMM if any(kind in name for kind in ("reg4", "eva02", "swin_tiny", "convnext", "regnet"))
]
_WITHOUT_CLASS_TOKEN = ("siglip", "swin", "davit", "convnext", "efficientnet", "regnet", "resnet")
WITH_CLASS_TOKEN = [name for name in TIMM if not any(kind in name for kind in _WITHOUT_CLASS_TOKEN)]


def small(name, num_classes=3, head="gap", **more):
    """One of them for tiles of 32 px."""
    return create_network(name, num_classes, head, arguments=TIMM[name], **{"tile_px": 32, **more})
