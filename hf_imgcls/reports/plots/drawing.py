"""Saving plots: matplotlib is imported where it is needed, without messages; a PNG in the folder `plots`."""

import importlib
import logging
from pathlib import Path
from types import ModuleType

FOLDER = "plots"


def import_plots(module: str) -> ModuleType:
    """A plotting module of this package, imported without matplotlib's first-time messages about caches and folders."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return importlib.import_module(f"hf_imgcls.reports.plots.{module}")
    finally:
        logger.setLevel(level)


def save(figure, folder: Path, name: str) -> None:
    """Save a figure of a run, as large as what is drawn in it; the file does not name the program that made it."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    save_as(figure, folder / FOLDER / name)


def save_as(figure, file: Path) -> None:
    figure.savefig(file, metadata={"Software": None}, bbox_inches="tight")
