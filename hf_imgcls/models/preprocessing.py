"""Image processors for networks from scratch, from `model.processor`; saved like any other."""

from transformers import ViTImageProcessor

from hf_imgcls.recipe import ProcessorSection


def new_processor(section: ProcessorSection, side: int, built_in: bool) -> ViTImageProcessor:
    """An image processor for a network from scratch.

    Args:
        side: of its square output, in pixels.
        built_in: pixels stay 0 to 1 where the recipe gives no mean and deviation; else they become -1 to 1.
    """
    mean = section.image_mean or ([0.0] * 3 if built_in else [0.5] * 3)
    std = section.image_std or ([1.0] * 3 if built_in else [0.5] * 3)
    square = {"height": side, "width": side}
    crop = {"size": {"shortest_edge": side}, "do_center_crop": True, "crop_size": square}
    return ViTImageProcessor(
        **(crop if section.resize == "crop" else {"size": square}),
        image_mean=mean,
        image_std=std,
        do_normalize=(mean, std) != ([0.0] * 3, [1.0] * 3),
    )


def timm_settings(section: ProcessorSection | None) -> dict:
    """The recipe's settings of the image processor under timm's names; the others stay timm's own."""
    given = section.model_dump(exclude_unset=True, exclude_none=True) if section else {}
    settings = {key: given[f"image_{key}"] for key in ("mean", "std") if f"image_{key}" in given}
    if "resize" in given:
        settings |= {"crop_mode": "center" if given["resize"] == "crop" else "squash", "crop_pct": 1.0}
    return settings
