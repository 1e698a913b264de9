"""Knowledge distillation from the teaching network (Eq. 2)."""

import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor


def distillation_loss(student: Tensor, teacher: Tensor, target: Tensor, alpha: float, temperature: float) -> Tensor:
    """Eq. 2: alpha * tau^2 * KL(softmax(teacher / tau) || softmax(student / tau)) + (1 - alpha) * CE, batch mean.

    `student` and `teacher` are logits (N, C), `target` class indices (N,) or probabilities (N, C).
    """
    divergence = F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return alpha * temperature**2 * divergence + (1 - alpha) * F.cross_entropy(student, target)
