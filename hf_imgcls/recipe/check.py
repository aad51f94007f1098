"""What can be known of a recipe without importing torch: names, paths, what is installed."""

import contextlib
import re
from pathlib import Path

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe.installed import installed
from hf_imgcls.recipe.schema import Stage, stages_of
from hf_imgcls.recipe.sections import DataSection, ModelSection, Section
from hf_imgcls.recipe.transforms import check_mixes, check_transforms

# Endings of data files, and the builder of `datasets` that reads them.
DATA_FILES = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet",
    ".tar": "webdataset",
}  # fmt: skip
BUILT_IN_ARCHITECTURES = ("convnet", "mini_xception")
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def check_settings(recipe: Section) -> None:
    """Check the paths and names of a recipe, quickly, without torch: the rest is `api.check_recipe`."""
    check_path(recipe.data)
    if recipe.model.architecture:
        _check_architecture(recipe.model.architecture)
    else:
        resolve_checkpoint(recipe.model)
    for stage in stages_of(recipe):
        with naming_stage(stage):
            check_transforms(stage.augmentation.train)
            check_mixes(stage.augmentation.mix)


def check_path(data: DataSection) -> None:
    """Refuse a `data.path` that does not exist and cannot be a Hub id."""
    path = Path(data.path).expanduser()
    if not path.exists() and (not _HUB_ID.fullmatch(data.path) or path.suffix.lower() in DATA_FILES):
        raise InputError(f"data.path: {data.path!r} does not exist (looked in {Path.cwd()}) and is no Hub id")


def _check_architecture(name: str) -> None:
    # Names of timm are checked where timm is imported.
    known = [*BUILT_IN_ARCHITECTURES, *installed()["architectures"]]
    if name not in known and not name.startswith("timm/"):
        raise InputError(f"model.architecture: transformers has no {name!r}{nearest(name, known)}")


def resolve_checkpoint(section: ModelSection) -> str:
    """The checkpoint as a folder that exists, or as a Hub id; refuses a path that is neither."""
    path = Path(section.checkpoint).expanduser()
    if path.is_file():
        raise InputError(f"model.checkpoint: {section.checkpoint} is a file; name the folder that it lies in")
    if path.is_dir():
        return str(path)
    if path.is_absolute() or section.checkpoint.startswith((".", "~")) or section.checkpoint.count("/") > 1:
        raise InputError(f"model.checkpoint: no folder {section.checkpoint!r} (looked in {Path.cwd()})")
    return section.checkpoint


@contextlib.contextmanager
def naming_stage(stage: Stage):
    """Name the stage in front of the key of an error."""
    try:
        yield
    except InputError as error:
        raise InputError(f"stages.{stage.number - 1}.{error}" if stage.listed else str(error)) from None
