"""The shape of a Method holds what the field's methods ask for: views, memories, peers, pre-activations, adapters."""

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hviskd.distillation import Batch, Method, Objective, Setting, build_methods, resolve_methods
from hviskd.networks import create_network

CLASSES = 3


def networks():
    torch.manual_seed(0)
    return create_network("resnet8", CLASSES), create_network("resnet14", CLASSES)


def batch(samples=4):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(samples, 3, 32, 32, generator=generator)
    return Batch(images, torch.arange(samples) % CLASSES, torch.arange(samples))


def objective_of(**methods):
    student, teacher = networks()
    return Objective(student, nn.ModuleDict(methods), teacher)


class Imitation(Method):
    """The student's logits approach the teacher's."""

    def __init__(self):
        super().__init__()
        self.weights = {"imitation": 1.0}

    def forward(self, batch, student, teacher):
        return {"imitation": F.mse_loss(student.logits, teacher.logits)}


class Rotations(Method):
    """As SSKD: both networks also look at turned images."""

    def __init__(self):
        super().__init__()
        self.weights = {"rotated": 2.0}

    def views(self, images):
        return {"turned": images.rot90(1, (2, 3))}

    def forward(self, batch, student, teacher):
        view = batch.views["turned"]
        assert torch.equal(view.images, batch.images.rot90(1, (2, 3)))
        return {"rotated": F.mse_loss(view.student.logits, view.teacher.logits)}


class Darker(Method):
    """Both networks also look at darker images."""

    def __init__(self):
        super().__init__()
        self.weights = {"darker": 1.0}

    def views(self, images):
        return {"dark": images / 2}

    def forward(self, batch, student, teacher):
        view = batch.views["dark"]
        return {"darker": F.mse_loss(view.student.logits, view.teacher.logits)}


class Memory(Method):
    """As CRD: a bank with one row a training tile, written through the batch's index."""

    bank: torch.Tensor

    def __init__(self, setting):
        super().__init__()
        self.register_buffer("bank", torch.zeros(len(setting.labels), setting.num_classes))
        self.weights = {"memory": 1.0}

    def forward(self, batch, student, teacher):
        loss = F.mse_loss(student.logits, self.bank[batch.index])
        self.bank[batch.index] = teacher.logits
        return {"memory": loss}


class Boundaries(Method):
    """As AB: reads maps before their activation."""

    needs: ClassVar = frozenset({"teacher", "preactivations"})

    def __init__(self):
        super().__init__()
        self.weights = {"boundary": 1.0}

    def forward(self, batch, student, teacher):
        assert (teacher.preactivations[1] < 0).any()
        assert torch.equal(teacher.preactivations[1].relu(), teacher.stages[1])
        return {"boundary": F.softplus(-student.preactivations[1]).mean()}


class Peers(Method):
    """As DML: the teacher learns too, each from the other held still."""

    needs: ClassVar = frozenset({"teacher", "trained_teacher"})

    def __init__(self):
        super().__init__()
        self.weights = {"student_from_peer": 1.0, "peer_from_student": 1.0}

    def forward(self, batch, student, teacher):
        return {
            "student_from_peer": F.mse_loss(student.logits, teacher.logits.detach()),
            "peer_from_student": F.mse_loss(teacher.logits, student.logits.detach()),
        }


def test_the_teacher_is_untouched():
    objective = objective_of(imitation=Imitation())
    before = {name: value.clone() for name, value in objective.teacher.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], lr=0.1)
    objective.train()
    assert not objective.teacher.training
    objective(batch()).total.backward()
    optimizer.step()
    assert all(weight.grad is None for weight in objective.teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in objective.teacher.state_dict().items())
    assert all(weight.grad is not None for weight in objective.student.parameters())


def test_the_total_is_the_weighted_sum_and_columns_name_their_method():
    objective = objective_of(imitation=Imitation(), peers=Peers(), rotations=Rotations())
    step = objective(batch())
    assert set(step.losses) == {"imitation", "peers/student_from_peer", "peers/peer_from_student", "rotations/rotated"}
    weights = {"imitation": 1, "peers/student_from_peer": 1, "peers/peer_from_student": 1, "rotations/rotated": 2}
    expected = sum(weights[name] * loss.item() for name, loss in step.losses.items())
    assert step.total.item() == pytest.approx(expected, rel=1e-5)


def test_the_student_alone_sees_low_power_with_the_same_losses():
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(4, 3, 64, 64, generator=generator)
    tiles = Batch(images, torch.arange(4) % CLASSES, torch.arange(4))
    objective = objective_of(imitation=Imitation(), darker=Darker())
    objective.low_power = 0.25
    step = objective(tiles)
    student, teacher = objective.student, objective.teacher
    small = images.unflatten(3, (32, 2)).unflatten(2, (32, 2)).mean(dim=(3, 5))
    expected = {
        "imitation": F.mse_loss(student(images), teacher(images)),
        "darker": F.mse_loss(student(images / 2), teacher(images / 2)),
        "low_power/imitation": F.mse_loss(student(small), teacher(images)),
        "low_power/darker": F.mse_loss(student(small / 2), teacher(images / 2)),
    }
    assert step.losses.keys() == expected.keys()
    for name, loss in step.losses.items():
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-4), name
    full, low = (expected[f"{at}imitation"] + expected[f"{at}darker"] for at in ("", "low_power/"))
    assert step.total.item() == pytest.approx((0.75 * full + 0.25 * low).item(), rel=1e-4)
    assert torch.allclose(step.logits, student(images), atol=1e-5)


def test_a_memory_is_written_and_kept_with_the_checkpoint():
    setting = Setting(None, None, CLASSES, torch.zeros(9, dtype=torch.int64))
    objective = objective_of(memory=Memory(setting))
    objective(batch())
    bank = objective.methods["memory"].bank
    assert (bank[:4] != 0).any()
    assert (bank[4:] == 0).all()
    restored = nn.ModuleDict({"memory": Memory(setting)})
    restored.load_state_dict(objective.methods.state_dict())
    assert torch.equal(restored["memory"].bank, bank)


def test_preactivations_come_when_asked_for():
    objective_of(boundaries=Boundaries())(batch()).total.backward()


def test_peers_both_learn():
    objective = objective_of(peers=Peers())
    objective.train()
    assert objective.teacher.training
    objective(batch()).total.backward()
    assert all(weight.grad is not None for weight in objective.teacher.parameters())


def test_the_paper_s_mixture_on_real_networks_trains_its_adapters():
    student, teacher = networks()
    setting = Setting(student.shapes(32), teacher.shapes(32), CLASSES, torch.zeros(4, dtype=torch.int64))
    objective = Objective(student, build_methods(resolve_methods("hviskd"), setting), teacher)
    step = objective(batch())
    step.total.backward()
    assert step.total.isfinite()
    learned = dict(objective.methods.named_parameters())
    assert {"hviskd.sample_scale.raw", "hviskd.region_adapters.0.weight"} <= set(learned)
    assert all(weight.grad.isfinite().all() and (weight.grad != 0).any() for weight in learned.values())
    assert set(objective.learned()) == {"hviskd/alpha", "hviskd/beta"}


def test_a_need_nobody_provides_is_refused_where_the_method_is_written():
    with pytest.raises(TypeError, match="'teachers' is not one of"):

        class Misspelt(Method):
            needs: ClassVar = frozenset({"teachers"})
