"""Places that a recipe names: data, run folder, checkpoints; what is no path, not there, or spelt otherwise."""

import difflib
import itertools
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import DataSection, Section
from hf_imgcls.store import check_address, is_address
from hf_imgcls.words import without_secrets

# Endings of data files, and the builder of `datasets` that reads them.
DATA_FILES = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet",
    ".tar": "webdataset",
}  # fmt: skip
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)


def check_path(data: DataSection) -> None:
    """Refuse a `data.path` that does not exist and cannot be a Hub id."""
    path = local_path(data.path, "data.path")
    if is_address(data.path):
        check_address(data.path)
        _check_web(data.path)
    elif not path.exists():
        _check_id(data.path, "data.path", "datasets")
        if path.suffix.lower() in DATA_FILES:
            raise InputError(f"data.path: no such file {data.path!r} (looked in {Path.cwd()}){beside(path)}")
    if data.relabel and not (decisions := local_path(data.relabel, "data.relabel")).is_file():
        raise InputError(
            f"data.relabel: no such file {data.relabel!r} (looked in {Path.cwd()}){beside(decisions)}; hf-imgcls "
            "inspect --labels --output FOLDER writes one"
        )


def _check_web(address: str) -> None:
    """Refuse what is no file of shards: the web has no folders, and its pages are no datasets."""
    url = urlsplit(address)
    if url.scheme in ("http", "https") and not url.path.lower().endswith((".parquet", ".tar")):
        hint = "; name a dataset of the Hub by its id" if url.hostname == "huggingface.co" else ""
        found = f"data.path: {without_secrets(address)} is a URL of no .parquet or .tar file"
        raise InputError(f"{found}, all that is read from the web{hint}")


def check_output_dir(recipe: Section) -> None:
    """Refuse a run folder in the data, where its plots would be images, and data in the run folder, which may move."""
    data = local_path(recipe.data.path, "data.path")
    output = local_path(recipe.training.output_dir, "training.output_dir")
    if data.is_dir() and lies_in(output, data):
        raise InputError(
            f"training.output_dir: {output} lies in data.path, where a run's plots would be taken for images; name a "
            "folder outside it"
        )
    if data.exists() and lies_in(data, output):
        raise InputError(
            f"training.output_dir: {output} holds data.path; name another folder, with nothing but the run in it"
        )


def check_unknown_path(recipe: Section) -> None:
    """Refuse images of no class that are not there, or are images of the data."""
    name = recipe.rejection.unknown_path
    if name is None:
        return
    path, data = local_path(name, "rejection.unknown_path"), local_path(recipe.data.path, "data.path")
    if not path.exists():
        raise InputError(f"rejection.unknown_path: no such file or folder {name!r} (looked in {Path.cwd()})")
    if lies_in(path, data):
        raise InputError(f"rejection.unknown_path: {name} lies in data.path, whose images are of a class; move it out")


def check_outside(place: Path, data: str) -> None:
    """Refuse an `--output` in the folder of the data, of which the next training would read them."""
    folder = local_path(data, "data.path")
    if folder.is_dir() and lies_in(place, folder):
        raise InputError(f"--output: {place} would lie in {folder}, and be taken for data; name a place outside it")


def lies_in(inner: Path, outer: Path) -> bool:
    """By the file system, which knows links, and whether the case of a letter counts."""
    inner = inner.resolve()
    return outer.exists() and any(place.exists() and place.samefile(outer) for place in (inner, *inner.parents))


def resolve_checkpoint(section: Section, key: str = "checkpoint", of: str = "model") -> str:
    """The checkpoint of a key as a folder that exists, or as a Hub id; refuses a path that is neither."""
    name, key = getattr(section, key), f"{of}.{key}"
    path = local_path(name, key)
    if path.is_file():
        raise InputError(f"{key}: {name} is a file; name the folder that it lies in")
    if path.is_dir():
        return str(path)
    _check_id(name, key, "models")
    return name


def local_path(name: str, key: str) -> Path:
    """A name as a path on this machine; refuses what no system takes as one."""
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, not encodable, no such user's home
        raise InputError(f"{key}: {name[:60]!r} is no path: {getattr(error, 'strerror', None) or error}") from None
    if "\0" in name:
        raise InputError(f"{key}: {name[:60]!r} is no path: it has a null character")
    return path


def _check_id(name: str, key: str, kind: str) -> None:
    """Refuse a name of nothing on this machine that cannot be a Hub id, or is a folder's with a letter wrong."""
    path = Path(name).expanduser()
    where = f"(looked in {Path.cwd()})"
    if re.match(r"[A-Za-z]:[\\/]|.*\\", name) and os.sep == "/":
        raise InputError(f"{key}: no such folder {name!r} {where}; it is a path of Windows, on this machine write a/b")
    if "://" in name:
        raise InputError(f"{key}: {name!r} is a URL; download it first, or name a Hub id, such as owner/name")
    near = beside(path)
    # Where the Hub can be asked, it is: people keep `microsoft/resnet-18` beside a `microsoft/resnet-50` that is there.
    if not _HUB_ID.fullmatch(name) or (near and constants.HF_HUB_OFFLINE and not _is_cached(name, kind)):
        raise InputError(f"{key}: no such folder {name!r} {where}{'' if near else ', and no Hub id'}{near}")


def beside(path: Path) -> str:
    """`; did you mean "..."?` for what exists under a path with one part spelt otherwise."""
    parent = next(parent for parent in path.parents if parent.is_dir())
    wrong, *rest = path.relative_to(parent).parts
    try:
        names = [each.name for each in itertools.islice(parent.iterdir(), 10_000)]
    except OSError:  # a folder that may not be listed
        return ""
    close = [parent.joinpath(name, *rest) for name in difflib.get_close_matches(wrong, names, n=3, cutoff=0.75)]
    found = next((str(each) for each in close if each.exists()), None)
    return f'; did you mean "{found}"?' if found else ""


def _is_cached(name: str, kind: str) -> bool:
    return Path(constants.HF_HUB_CACHE, f"{kind}--{name.replace('/', '--')}").is_dir()
