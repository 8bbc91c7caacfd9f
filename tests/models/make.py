"""Small Models with drawn weights, for tests of whatever runs or writes them."""

import torch
from torch import nn

from hviskd.models import Licence, NetworkChoice, save_model
from hviskd.models.card import untrained_card
from hviskd.networks import create_network


def make_model(
    folder, network="resnet8", *, head="gap", tile_px=64, mpp=0.5, classes=("a", "b", "c", "d"), seed=0, shortened=False
):
    """A Model whose normalisations have seen some noise, so that its probabilities are neither 0 nor 1.

    Shortened, each stage of a ShuffleNet has its first two blocks alone, since the others are like the second; of this
    its folder knows nothing.
    """
    torch.manual_seed(seed)
    built = create_network(network, len(classes), head)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches, here of one
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    with torch.no_grad():
        built.train()(torch.randn(8, 3, tile_px, tile_px))
    card = untrained_card(NetworkChoice(name=network, head=head), classes, tile_px, mpp)
    named = {"name": f"{network} drawn", "licences": (Licence(what="tiles none", licence="CC0"),)}
    model = save_model(built, card.model_copy(update=named), folder)
    for stage in model.network.stages if shortened and network.startswith("shufflenet") else ():
        del stage.blocks[2:]
    return model
