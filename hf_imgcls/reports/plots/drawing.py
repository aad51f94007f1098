"""How a figure comes to be a file: matplotlib imported where it is needed, quietly; a PNG in the folder `plots`."""

import importlib
import logging
from pathlib import Path
from types import ModuleType

FOLDER = "plots"


def import_plots(room: str) -> ModuleType:
    """A room of this package that draws, imported without what matplotlib says of caches and folders at first."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return importlib.import_module(f"hf_imgcls.reports.plots.{room}")
    finally:
        logger.setLevel(level)


def save(figure, folder: Path, name: str) -> None:
    """Save a figure of a run under a name, without naming the program that made it."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / FOLDER / name, metadata={"Software": None})
