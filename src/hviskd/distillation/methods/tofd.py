"""TOFD (Zhang et al., NeurIPS 2020): exits on middle feature maps, to match only what serves the task."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.gather import joint_norm
from hviskd.distillation.method import Batch, Method, Setting, Shape, Trace, paired_shapes
from hviskd.distillation.methods.kd import kd_loss
from hviskd.distillation.precision import full_precision
from hviskd.distillation.preparation import PreparedOptions
from hviskd.distillation.vectors import pooled

Answer = tuple[Tensor, Tensor]  # the vectors (B, D) that an exit classifies, and its logits (B, K)


class TOFDOptions(PreparedOptions):
    """The authors' settings.

    Attributes:
        stages: Pairs (teacher stage, student stage) that get an exit; the end of both networks always counts as one.
        feature: Weight of the distance of the exits' vectors.
        orthogonality: Weight of what keeps the matrices between them orthogonal.
        temperature_rise: The temperature climbs from 1 by this much over the training.
        preparation: Share of the training in which the teacher's exits learn alone, on a teacher that is held still.
    """

    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2)), min_length=1)
    feature: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    orthogonality: float = Field(default=0.03, ge=0, allow_inf_nan=False)
    temperature_rise: float = Field(default=3.0, ge=0, allow_inf_nan=False)


class TOFD(Method):
    """First `teacher_exits`, then `exits`, `imitation`, `feature` and `orthogonality`, summed over the exits.

    Cross-entropy of the teacher's exits with the labels, while they learn; then of the student's exits; KL divergence
    of each exit of the student from the teacher's; ‖v_t − W v_s‖ of the vectors that the exits classify, over the joint
    batch; ‖W Wᵀ − I‖ + ‖Wᵀ W − I‖. Exits live in here, and no teacher has to be trained with them beforehand.
    """

    name = "tofd"
    Options = TOFDOptions
    needs = frozenset({"teacher"})
    phased = True

    def __init__(self, options: TOFDOptions, setting: Setting) -> None:
        super().__init__()
        teacher = setting.teacher
        assert teacher is not None
        self.options = options
        paired_shapes(setting, options.stages, self.name)
        theirs, ours = zip(*options.stages, strict=True)
        self.teacher_exits = nn.ModuleList(_Exit(teacher.stages[stage:], setting.num_classes) for stage in theirs)
        self.student_exits = nn.ModuleList(_Exit(setting.student.stages[stage:], setting.num_classes) for stage in ours)
        widths = [(teacher.stages[-1][0], setting.student.stages[-1][0])] * len(options.stages)
        widths.append((teacher.last[0], setting.student.last[0]))
        self.links = nn.ModuleList(nn.Linear(ours, theirs, bias=False) for theirs, ours in widths)
        terms = {"exits": 1.0, "imitation": 1.0, "feature": options.feature, "orthogonality": options.orthogonality}
        self.from_labels = nn.CrossEntropyLoss(setting.label_weights)
        self.weights = {"teacher_exits": 1.0} | {term: options.weight * share for term, share in terms.items()}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `teacher_exits` during the preparation and the four others after it."""
        assert teacher is not None
        theirs = [teacher.stages[of_teacher].detach() for of_teacher, _ in self.options.stages]
        preparing = self.options.prepares_at(batch.progress)
        self.teacher_exits.train(preparing)
        if preparing:
            return {"teacher_exits": self._cross_entropies(_leave(self.teacher_exits, theirs), batch.labels)}
        with torch.no_grad():
            targets = [*_leave(self.teacher_exits, theirs), (pooled(teacher.last), teacher.logits)]
        answers = _leave(self.student_exits, [student.stages[of_student] for _, of_student in self.options.stages])
        exits = self._cross_entropies(answers, batch.labels)
        answers.append((pooled(student.last), student.logits))
        temperature = 1 + self.options.temperature_rise * batch.progress
        imitation, feature, orthogonality = [], [], []
        for link, (vector, logits), (target, target_logits) in zip(self.links, answers, targets, strict=True):
            imitation.append(kd_loss(logits, target_logits, temperature) / temperature**2)
            feature.append(_distance(link(vector), target))
            orthogonality.append(unorthogonality(link.get_parameter("weight")))
        terms = {"imitation": imitation, "feature": feature, "orthogonality": orthogonality}
        return {"exits": exits} | {term: torch.stack(parts).sum() for term, parts in terms.items()}

    def _cross_entropies(self, answers: Sequence[Answer], labels: Tensor) -> Tensor:
        return torch.stack([full_precision(self.from_labels)(logits, labels) for _, logits in answers]).sum()


class _Exit(nn.Module):
    """Applies the widths and strides of the network's remaining stages to a map, and classifies its spatial mean."""

    def __init__(self, shapes: Sequence[Shape], num_classes: int) -> None:
        super().__init__()
        ahead = list(pairwise(shapes)) or [(shapes[0], shapes[0])]
        self.body = nn.Sequential(
            *(_separable(before[0], after[0], 2 if after[1] < before[1] else 1) for before, after in ahead)
        )
        self.classifier = nn.Linear(shapes[-1][0], num_classes)

    def forward(self, maps: Tensor) -> Answer:
        """Return the vectors (B, D) and logits (B, K) of maps (B, C, H, W)."""
        vectors = self.body(maps).mean(dim=(2, 3))
        return vectors, self.classifier(vectors)


def _separable(width_in: int, width_out: int, stride: int) -> nn.Sequential:
    """Two depthwise separable convolutions, the first of them with the stride."""
    layers: list[nn.Module] = []
    for width, step in ((width_in, stride), (width_out, 1)):
        layers += [
            nn.Conv2d(width, width, 3, step, padding=1, groups=width, bias=False),
            nn.Conv2d(width, width_out, 1, bias=False),
            nn.BatchNorm2d(width_out),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


@full_precision
def unorthogonality(matrix: Tensor) -> Tensor:
    """Return ‖W Wᵀ − I‖ + ‖Wᵀ W − I‖ of a matrix (D', D); it is above zero if the matrix is not square."""
    products = (matrix @ matrix.T, matrix.T @ matrix)
    apart = [torch.linalg.vector_norm(product - torch.eye(*product.shape).to(product)) for product in products]
    return torch.stack(apart).sum()


@full_precision
def _distance(student: Tensor, teacher: Tensor) -> Tensor:
    return joint_norm(teacher - student)


def _leave(exits: nn.ModuleList, maps: Sequence[Tensor]) -> list[Answer]:
    return [leave(map_) for leave, map_ in zip(exits, maps, strict=True)]
