"""What the walkthroughs run on: photos and weights of yours where they are at hand, drawn images where not.

Photos are looked for in `photos/NAME` and weights in `weights/NAME`, beside the folder `notebooks`.
"""

import io
import logging
import os
import warnings
from collections.abc import Iterable
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars are noise in a saved notebook
warnings.filterwarnings("ignore", message="IProgress")

# ruff: noqa: E402 - the lines above must come before what they silence
import PIL.Image
from drawn import Painter, draw_folder
from IPython.display import Image, display
from matplotlib.figure import Figure

for talker in ("trainer_utils", "image_processing_base", "models"):  # remarks that are not about the run
    logging.getLogger(f"transformers.{talker}").setLevel(logging.ERROR)


def photos(name: str, painters: Iterable[Painter], each: int = 60) -> tuple[Path, bool]:
    """Returns (a folder of photos or of drawn images, whether they are photos), and says which."""
    folder = Path("..", "photos", name)
    if folder.is_dir():
        print(f"on the photos in {folder}")
        return folder, True
    drawn = draw_folder(Path("runs", "drawn", name), painters, each)
    print(f"on drawn images, {each} a class: {folder} is not there")
    return drawn, False


def weights(*names: str) -> Path | None:
    """The first of these checkpoints that is at hand, or None; says which."""
    folders = [Path("..", "weights", name) for name in names]
    found = next((folder for folder in folders if folder.is_dir()), None)
    print(f"weights: {found}" if found else f"no pretrained weights: {' and '.join(map(str, folders))} not there")
    return found


def show(*figures: str | Path | Figure) -> None:
    """Show figures, or files of a run, as JPEG: a saved notebook is several times smaller than with PNGs."""
    for figure in figures:
        packed = io.BytesIO()
        if isinstance(figure, Figure):
            figure.savefig(packed, format="jpeg")
        else:
            with PIL.Image.open(figure) as file:
                file.convert("RGB").save(packed, "JPEG", quality=85)
        display(Image(packed.getvalue()))
