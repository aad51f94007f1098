"""A network that predicts an image from several views of it: test-time augmentation (TTA)."""

import torch
from torch import nn
from transformers import PreTrainedModel

from hf_imgcls.models.label_kind import is_multi_label


class MeanOfViews(nn.Module):
    """The mean of a network's probabilities over the views of an image; the logits are such as give them."""

    def __init__(self, network: PreTrainedModel):
        super().__init__()
        self.network, self.config = network, network.config

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Views, shape (n, views, 3, height, width), to `logits`, shape (n, classes); the loss is the trainer's."""
        several = is_multi_label(self.config)
        found = [self.network(pixel_values=view).logits.float() for view in pixel_values.unbind(1)]
        mean = torch.stack([each.sigmoid() if several else each.softmax(1) for each in found]).mean(0)
        smallest = torch.finfo(mean.dtype).tiny
        return {"logits": mean.logit(eps=1e-7) if several else mean.clamp(min=smallest).log()}
