"""`datasets.load_dataset`, whose own cache of Arrow files is compared with what it was when it was written."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import datasets
from datasets.config import DATASET_INFO_FILENAME as INFO

from hf_imgcls.store import file_digests, read_json, write_json

_RECORD = "hf_imgcls.json"  # beside the Arrow files: their sizes and hashes


def load_prepared(split: str | None, **source: Any) -> datasets.Dataset | datasets.DatasetDict:
    """A split or all of them, of Arrow files that `datasets` makes of a source once; damaged ones are made anew.

    Args:
        source: what `datasets.load_dataset_builder` takes.
    """
    builder = _open(source)
    folder = Path(builder.cache_dir)
    if _is_as_recorded(folder):
        builder.download_and_prepare()
        with contextlib.suppress(OSError, ValueError):  # of pyarrow and json: damaged before there was a record
            return _record(builder.as_dataset(split), folder)
    (folder / INFO).unlink(missing_ok=True)  # without which they are made anew
    builder = _open(source)
    builder.download_and_prepare()
    return _record(builder.as_dataset(split), folder)


def _open(source: dict[str, Any]) -> datasets.DatasetBuilder:
    try:
        return datasets.load_dataset_builder(**source)
    except (ValueError, TypeError, LookupError, AttributeError):
        # It may be the cached description of the dataset, which no error names: elsewhere there is none.
        with tempfile.TemporaryDirectory() as empty:
            folder = Path(datasets.load_dataset_builder(**source, cache_dir=empty).cache_dir).relative_to(empty)
        (Path(datasets.config.HF_DATASETS_CACHE) / folder / INFO).unlink(missing_ok=True)
        return datasets.load_dataset_builder(**source)


def _is_as_recorded(folder: Path) -> bool:
    """Whether the files of a folder are those of its record, if it has one."""
    try:
        recorded = read_json(folder / _RECORD)
        return bool(recorded) and recorded == file_digests(folder, list(recorded))
    except FileNotFoundError:
        return not (folder / _RECORD).exists()
    except (OSError, ValueError, TypeError):
        return False


def _record(loaded: datasets.Dataset | datasets.DatasetDict, folder: Path):
    """Note what the files of a dataset are, where that is not known; returns the dataset."""
    if not (folder / _RECORD).exists():
        splits = loaded.values() if isinstance(loaded, dict) else [loaded]
        names = {Path(file["filename"]).name for rows in splits for file in rows.cache_files}
        with contextlib.suppress(OSError):  # a cache that cannot be written
            write_json(folder / _RECORD, file_digests(folder, sorted({*names, INFO})))
    return loaded
