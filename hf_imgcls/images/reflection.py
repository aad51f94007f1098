"""RandomAffine as Keras fills it: what is turned or moved out of the image is its mirror image, not black."""

import math

import torch
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms import v2


class RandomAffineReflect(v2.RandomAffine):
    """torchvision's RandomAffine (rotation, shift, scale), bilinear, its outside filled by reflection.

    At an edge: d c b a | a b c d | d c b a, the `fill_mode="reflect"` that Keras's RandomRotation, RandomTranslation
    and RandomZoom have by default. The draws, and the pixels that come from inside, are RandomAffine's. In one step,
    of any size: Pad, RandomAffine and CenterCrop take four times as long, and a padding fits one size of image.
    """

    def __init__(self, degrees, translate=None, scale=None):
        super().__init__(degrees, translate, scale)

    def transform(self, inpt: torch.Tensor, params: dict) -> torch.Tensor:
        """A uint8 image (3, height, width) to another of the same shape."""
        height, width = inpt.shape[-2:]
        turned = math.radians(params["angle"])
        cos, sin = (of(turned) / params["scale"] for of in (math.cos, math.sin))
        # From a pixel to where it comes from; grid_sample's units are half of the width, half of the height.
        right, down = (2 * shift / side for shift, side in zip(params["translate"], (width, height), strict=True))
        from_ = torch.tensor([[cos, sin * height / width], [-sin * width / height, cos]])
        shift = -from_ @ torch.tensor([right, down])
        grid = affine_grid(torch.cat([from_, shift[:, None]], dim=1)[None], [1, *inpt.shape], align_corners=False)
        moved = grid_sample(inpt[None].float(), grid, padding_mode="reflection", align_corners=False)[0]
        return moved.round().to(inpt.dtype)
