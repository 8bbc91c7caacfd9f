"""SimKD's student answers through its teacher's classifier, and carries what that takes."""

import pytest
import torch

from hviskd.distillation import Setting
from hviskd.distillation.methods.simkd import SimKD, SimKDOptions
from hviskd.errors import RecipeError
from hviskd.networks import create_network
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, draw_batch, draw_trace

# Projector weights that the literature's arithmetic gives for teacher width and student, at reduction 2.
PROJECTORS = {
    ("resnet8", 64): 13_568,
    ("resnet8x4", 256): 214_016,
    ("vgg8", 512): 854_016,
    ("shufflenet_v1", 512): 968_704,
    ("shufflenet_v2", 512): 841_728,
    ("mobilenet_v2", 512): 763_904,
    ("shufflenet_v1", 256): 304_128,
    ("shufflenet_v2", 256): 240_640,
    ("mobilenet_v2", 256): 201_728,
}


def test_the_loss_is_the_mean_squared_difference_at_the_smaller_size():
    shapes = FakeShapes([*SHAPES_STUDENT[:-1], (16, 3, 3)]), FakeShapes(SHAPES_TEACHER)
    method = SimKD(SimKDOptions(), Setting(*shapes, 5, torch.zeros(1)))
    student, teacher = draw_trace(shapes[0].stages), draw_trace(SHAPES_TEACHER, seed=1)
    pooled = torch.nn.functional.adaptive_avg_pool2d(teacher.last, 3)
    expected = ((pooled.numpy() - student.last.numpy()) ** 2).mean()
    assert method(draw_batch(), student, teacher)["simkd"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "channels"), PROJECTORS)
def test_the_projector_has_the_known_size(name, channels):
    network = create_network(name, 8, "gap", (channels, 2))
    assert sum(weight.numel() for weight in network.head.neck.parameters()) == PROJECTORS[name, channels]
    assert network.head.classifier.in_features == channels
    assert network.shapes(64).last[0] == channels


def test_a_grid_head_has_no_place_for_it():
    with pytest.raises(RecipeError, match="head: gap"):
        create_network("resnet8", 8, "grid", (64, 2))
