"""The picture of an explained image: the image with its prediction, and beside it a map for each label."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hf_imgcls.reports.html.thumbnails import reduced
from hf_imgcls.reports.plots.drawing import import_plots, save_as

_SIDE = 560  # pixels of an image's longer side at most


def draw_explained(
    file: Path, image: Image.Image, row: Mapping[str, Any], maps: Sequence[Callable[[tuple[int, int]], np.ndarray]]
) -> None:
    """Save the picture.

    Args:
        row: `image`, its name; `predicted`, `maps` and `frame` as `explain_images` has them.
        maps: from a width and height to the map on the image, NaN where the network does not see it.
    """
    plots, small = import_plots("overlays"), np.asarray(reduced(image, _SIDE))
    size = (small.shape[1], small.shape[0])
    overlays = [plots.overlay(small, make(size)) for make in maps]
    scores = {each["label"]: f" {each['score']:.3f}" for each in row["maps"]}
    predicted = ", ".join(f"{label}{scores.get(label, '')}" for label in row["predicted"]) or "no label"
    name = row["image"].rstrip("/").rpartition("/")[2]
    about = "\n".join(filter(None, (name, f"predicted: {predicted}", *row["frame"].split(", "))))
    captions = [
        f"for {each['label']}{scores[each['label']]}\n{'yellow: most' if each['found'] else 'no part stands out'}"
        for each in row["maps"]
    ]
    save_as(plots.explained(small, about, overlays, captions), file)
