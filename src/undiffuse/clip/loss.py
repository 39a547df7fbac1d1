"""CLIP's contrastive loss, and a loss that aligns differences of images with words."""

import torch.nn.functional as F
from torch import Tensor

DIFFERENCE_SCALE = 14.0  # inverse temperature of the difference loss


# CLIP's loss (arXiv 2103.00020, figure 3) with several positives per row, as in UniCL
# (arXiv 2204.03610): the same emoji in another style is a match too, not a negative.
def contrastive_loss(image: Tensor, text: Tensor, matches: Tensor, logit_scale: Tensor) -> Tensor:
    """Cross-entropy from text to image and from image to text, averaged.

    `image`, `text`: unit vectors (B, D). `matches` (B, B): `matches[i, j]` is true if caption i
    describes picture j; each row and column has at least one match. With the identity matrix as
    `matches` this is CLIP's own loss.
    """
    logits = logit_scale * text @ image.T
    target = matches.float()
    by_text = -(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean()
    by_image = -(target / target.sum(0, keepdim=True) * logits.log_softmax(0)).sum(0).mean()
    return (by_text + by_image) / 2


def partial_contrastive_loss(
    own: tuple[Tensor, Tensor], every: tuple[Tensor, Tensor], matches: tuple[Tensor, Tensor],
    logit_scale: Tensor,
) -> Tensor:  # fmt: skip
    """`contrastive_loss` over some rows of a batch. The mean over equal parts of the batch is the
    loss of the batch.

    `own`: image and text vectors of b rows `(b, D)`; `every`: of the batch `(B, D)`. `matches`:
    of the b texts with all images, and of the b images with all texts, both `(b, B)`.
    """
    (image, text), (all_image, all_text) = own, every
    losses = []
    for rows, columns, found in ((text, all_image, matches[0]), (image, all_text, matches[1])):
        target = found.float()
        logits = logit_scale * rows @ columns.T
        losses.append(-(target / target.sum(1, keepdim=True) * logits.log_softmax(1)).sum(1).mean())
    return (losses[0] + losses[1]) / 2


def difference_loss(without: Tensor, with_: Tensor, words: Tensor, which: Tensor) -> Tensor:
    """Cross-entropy of the direction `with_ - without` (P, D) over the vectors of `words` (U, D).

    `which` (P,): the index of the word that names the difference.
    """
    direction = F.normalize(with_ - without, dim=-1)
    return F.cross_entropy(DIFFERENCE_SCALE * direction @ words.T, which)
