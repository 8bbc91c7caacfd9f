"""SSKD teaches the teacher's head first, then the student how the teacher recognises changed tiles."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from hviskd.distillation import Objective, Setting, build_methods, resolve_methods
from hviskd.distillation.method import Batch
from hviskd.distillation.methods.sskd import SSKD, SSKDOptions, least_wrong, selected_kd, similarities
from hviskd.networks import create_network


def objective(**options):
    torch.manual_seed(0)
    student, teacher = create_network("resnet8", 4), create_network("resnet14", 4)
    setting = Setting(student.shapes(32), teacher.shapes(32), 4, torch.arange(8) % 4)
    return Objective(student, build_methods(resolve_methods({"sskd": options}), setting), teacher)


def batch():
    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Batch(images, torch.arange(5) % 4, torch.arange(5))


def test_views_are_the_three_quarter_turns(setting):
    images = batch().images
    changed = SSKD(SSKDOptions(), setting).views(images)["changed"].numpy()
    expected = np.concatenate([np.rot90(images.numpy(), turns, (2, 3)) for turns in (1, 2, 3)])
    assert np.array_equal(changed, expected)


def test_first_only_the_teacher_s_head_learns_then_only_the_student_and_its_head():
    module = objective(head_share=0.25)
    module.progress = 0.2
    step = module(batch())
    assert set(step.losses) == {"sskd/teacher_head"}
    step.total.backward()
    method = module.methods["sskd"]
    assert all(weight.grad is not None for weight in method.teacher_head.parameters())
    assert all(weight.grad is None for weight in [*method.student_head.parameters(), *module.student.parameters()])
    method.zero_grad(set_to_none=True)
    module.progress = 0.25
    step = module(batch())
    assert set(step.losses) == {"sskd/kd", "sskd/changed_kd", "sskd/similarity"}
    step.total.backward()
    assert all(weight.grad is None for weight in method.teacher_head.parameters())
    assert all((weight.grad != 0).any() for weight in method.student_head.parameters())
    assert all(weight.grad.isfinite().all() for weight in module.student.parameters())


def test_similarities_are_cosines():
    head = torch.nn.Linear(6, 3).double()
    changed, unchanged = torch.randn(9, 6, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64)
    a, b = head(changed).detach().numpy(), head(unchanged).detach().numpy()
    expected = [[u @ v / np.linalg.norm(u) / np.linalg.norm(v) for v in b] for u in a]
    assert similarities(head, changed, unchanged).detach().numpy() == pytest.approx(np.array(expected))


@pytest.mark.parametrize("keep", [0.0, 0.4, 1.0])
def test_all_right_answers_are_kept_and_of_the_wrong_the_least_wrong(keep):
    generator = np.random.default_rng(3)
    answers, truth = generator.normal(size=(40, 6)), generator.integers(0, 6, 40)
    rank = [int((answers[i] > answers[i, truth[i]]).sum()) for i in range(40)]
    right = [i for i in range(40) if rank[i] == 0]
    wrong = sorted((i for i in range(40) if rank[i]), key=lambda i: (rank[i], i))
    expected = np.zeros(40, bool)
    expected[right + wrong[: int(keep * len(wrong))]] = True
    assert np.array_equal(least_wrong(torch.from_numpy(answers), torch.from_numpy(truth), keep).numpy(), expected)


def test_selected_kd_is_the_mean_over_the_selected():
    generator = np.random.default_rng(4)
    student, teacher = generator.normal(size=(2, 7, 5))
    chosen = np.array([True, False, True, True, False, False, True])
    p = softmax(teacher / 0.5, axis=1)
    rows = (p * (np.log(p) - log_softmax(student / 0.5, axis=1))).sum(axis=1)
    arguments = torch.from_numpy(student), torch.from_numpy(teacher)
    loss = selected_kd(*arguments, torch.from_numpy(chosen), 0.5)
    assert loss.item() == pytest.approx(rows[chosen].mean() * 0.25)
    assert selected_kd(*arguments, torch.zeros(7, dtype=torch.bool), 0.5).item() == 0
