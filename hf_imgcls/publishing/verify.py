"""What was pushed, as its users will load it: its predictions compared with those of the folder."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

from hf_imgcls.data import first_rows, naming_changed
from hf_imgcls.errors import PushError
from hf_imgcls.images import read_image
from hf_imgcls.serving import TOLERANCE
from hf_imgcls.store import own_code

_COMPARED = 8  # images


def open_pushed(folder: Path, name: str, commit: str, images: list[Image.Image]) -> dict:
    """Load the repository by its id in a fresh process with an empty cache, and compare its predictions.

    Returns:
        `images`, `max_difference` of a probability.
    """
    with tempfile.TemporaryDirectory() as place:
        cache, compared = Path(place, "cache"), Path(place, "images")
        compared.mkdir()
        for number, image in enumerate(images):
            image.save(compared / f"{number}.png")
        alone = {key: value for key, value in os.environ.items() if not key.startswith(("ACCELERATE_", "FSDP_"))}
        alone |= {key: str(cache / key) for key in ("HF_HUB_CACHE", "HF_MODULES_CACHE", "HF_XET_CACHE")}
        for key in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):  # run as a single, non-distributed process
            alone.pop(key, None)
        words = [str(folder.resolve()), name, commit, str(compared)]
        words += ["--trust-remote-code"] if own_code(folder) else []
        # -P, and from another folder: neither this package's modules nor a folder of the repository's name are found.
        script = Path(__file__).with_name("readback.py").resolve()
        done = subprocess.run(
            [sys.executable, "-P", str(script), *words], cwd=place, env=alone, capture_output=True, text=True
        )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PushError(f"{name} is on the Hub, but could not be loaded from there ({why[:300]})")
    verdict = json.loads(done.stdout.splitlines()[-1])
    if not verdict["max_difference"] <= TOLERANCE:  # NaN too
        raise PushError(
            f"{name} is on the Hub, but does not reproduce the folder's predictions (max abs. probability difference "
            f"{verdict['max_difference']:.1e})"
        )
    return verdict


def first_images(split) -> Iterator[Image.Image]:
    """The first images of a held-out split, as they are read."""
    streamed = isinstance(split, datasets.IterableDataset)
    rows = first_rows(split, _COMPARED) if streamed else itertools.islice(split or (), _COMPARED)
    for row in rows:
        with naming_changed([row["image"]]):
            image = read_image(row["image"])
        yield image


def synthetic_images() -> list[Image.Image]:
    """Soft blots of colour, so that predictions differ: noise is the same grey to every network."""
    blots = np.random.default_rng(0).integers(0, 256, (_COMPARED, 3, 4, 3), np.uint8)
    return [Image.fromarray(each).resize((300, 200), Image.Resampling.BICUBIC) for each in blots]
