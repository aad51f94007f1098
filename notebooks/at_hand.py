"""What the walkthroughs run on and show: photos and weights of yours where they are at hand, digits in chalk where not.

Photos are looked for in `photos/NAME` and weights in `weights/NAME`, beside the folder `notebooks`.
"""

import hashlib
import io
import logging
import os
import platform
import re
import warnings
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars are noise in a saved notebook
warnings.filterwarnings("ignore", message="IProgress")

# ruff: noqa: E402 - the lines above must come before what they silence
import numpy as np
import PIL.Image
from drawn import draw_digits
from IPython import get_ipython
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

import hf_imgcls
from hf_imgcls.reports.plots import gallery

for talker in ("trainer_utils", "image_processing_base", "models"):  # remarks that are not about the run
    logging.getLogger(f"transformers.{talker}").setLevel(logging.ERROR)


def photos(name: str, each: int, **drawing) -> tuple[Path, bool]:
    """Returns (a folder of photos or of digits in chalk, whether they are photos), and says which."""
    folder = Path("..", "photos", name)
    if folder.is_dir():
        print(f"on the photos in {folder}")
        return folder, True
    print(f"on digits in chalk, {each} of each: {folder} is not there")
    return draw_digits(Path("runs", "chalk", name), each, **drawing), False


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
            figure.savefig(packed, format="jpeg", bbox_inches="tight")
        else:
            with PIL.Image.open(figure) as file:
                file.convert("RGB").save(packed, "JPEG", quality=85)
        display(Image(packed.getvalue()))


def show_images(files: Iterable[str | Path], captions: Sequence[str]) -> None:
    """Show images, each above its caption."""
    images = []
    for name in files:
        with PIL.Image.open(name) as file:
            images.append(np.asarray(file.convert("RGB")))
    show(gallery.captioned(images, captions, columns=10))


def show_card(run: str | Path, *headings: str) -> None:
    """Show of a run's model card what it says first, and the parts under these headings."""
    text = Path(run, "README.md").read_text(encoding="utf-8").partition("-->")[2]
    first, *parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    display(Markdown("".join([first, *(part for part in parts if part[3:].partition("\n")[0] in headings)])))


def print_versions() -> None:
    """Print with what the cells so far ran, and the digest by which a test knows them."""
    stack = [f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "datasets")]
    python = f"Python {platform.python_version()}, {platform.machine()}"
    cells = digest(get_ipython().user_ns["In"][1:])
    print(f"hf_imgcls {hf_imgcls.__version__}, {', '.join(stack)}, {python}; cells {cells}")


def digest(cells: Iterable[str]) -> str:
    """Of the sources of cells, and of the two modules that they are written with."""
    modules = [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("at_hand.py", "drawn.py")]
    return hashlib.sha256("\n".join(text.strip() for text in (*cells, *modules)).encode()).hexdigest()[:16]
