"""Logit standardisation (Sun et al. 2024, CVPR) as an option of every method that compares logits."""

from pydantic import Field
from torch import Tensor

from hviskd.distillation.method import Options
from hviskd.distillation.precision import full_precision
from hviskd.errors import RecipeError

_EPSILON = 1e-7


class LogitOptions(Options):
    """The options that all methods that compare logits share.

    Attributes:
        temperature: Of both softmaxes.
        standardise: Whether each tile's logits are first brought to mean 0 and deviation 1, so that the student need
            not learn the teacher's range; the temperature then acts on standardised logits (the authors take 2).
    """

    temperature: float = Field(default=4.0, gt=0, allow_inf_nan=False)
    standardise: bool = False

    @full_precision
    def scaled(self, logits: Tensor) -> Tensor:
        """Return logits (B, K) as input to the method's softmax, in at least float32."""
        return (standardise(logits) if self.standardise else logits) / self.temperature

    def require_enough_classes(self, num_classes: int, who: str) -> None:
        """Reject standardised logits for two classes, which carry no information.

        Raises:
            RecipeError: There are two classes and `standardise` is set.
        """
        if self.standardise and num_classes < 3:
            raise RecipeError(
                f"methods.{who}.standardise: with 2 classes, the standardised logits of all tiles are the same pair of "
                "numbers, so nothing can be learned; turn it off"
            )


@full_precision
def standardise(logits: Tensor) -> Tensor:
    """Return (z − mean) / deviation of each row of logits (B, K), dividing by K − 1 as the authors do."""
    centred = logits - logits.mean(dim=1, keepdim=True)
    return centred / (logits.std(dim=1, keepdim=True) + _EPSILON)
