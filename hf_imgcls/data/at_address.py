"""`data.path` as an address: Parquet or tar files there, streamed or downloaded into the cache."""

import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from PIL import Image

from hf_imgcls.data.datafiles import SourcePart, load_files, split_files
from hf_imgcls.data.folders import split_of
from hf_imgcls.data.shards import check_shard, stream_shards
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection
from hf_imgcls.store import Stored, cached, list_stored, look_up, open_stored
from hf_imgcls.words import listed, plural, without_secrets

_SHARDS = (".parquet", ".tar")
_PACK = "hf-imgcls pack FOLDER --output s3://bucket/shards"


def open_parts(data: DataSection) -> tuple[dict[str, list[SourcePart]], Path | None, list[str]]:
    """The parts of each split, the folder that they were downloaded into (None: they are streamed), and notes."""
    files, notes = _find_shards(data.path)
    by_name = {PurePosixPath(file.name): file for file in files}
    splits, more = split_files(list(by_name), PurePosixPath())
    found = {split: [by_name[name] for name in names] for split, names in splits.items()}
    notes += more
    where = without_secrets(data.path)
    if data.streaming:
        return {split: [SourcePart(stream_shards(each), None, where)] for split, each in found.items()}, None, notes
    for each in found.values():
        check_shard(each[0])  # before all are downloaded
    folder = _download([file for each in found.values() for file in each])
    try:
        parts = {split: load_files([folder / _flat(file) for file in each], False) for split, each in found.items()}
    except InputError as error:
        raise InputError(
            str(error).replace(f"{folder}/", f"{where.rstrip('/')}/").replace(str(folder), where)
        ) from None
    return parts, folder, notes


def _find_shards(address: str) -> tuple[list[Stored], list[str]]:
    """The file at an address, or those in the folder there, its `data` and its split folders; notes on what is left."""
    if file := look_up(address):
        if not file.name.lower().endswith(_SHARDS):
            raise _refused(address, [file])
        return [file], []
    files, folders = list_stored(address)
    for name in (each for each in folders if each == "data" or split_of(each)):
        inner, _ = list_stored(f"{address.rstrip('/')}/{name}")
        files += [file._replace(name=f"{name}/{file.name}") for file in inner]
    shards = [file for file in files if file.name.lower().endswith(_SHARDS)]
    if not shards:
        raise _refused(address, files, folders)
    kinds = {file.name.lower().rpartition(".")[2] for file in shards}
    if len(kinds) > 1:
        raise InputError(f"data.path: {without_secrets(address)} holds Parquet and tar files; name one of them")
    left = [file.name for file in files if file not in shards and file.name != "_MANIFEST"]
    return shards, [f"skipped {plural(len(left), 'other file')}: {listed(left)}"] if left else []


def _refused(address: str, files: list[Stored], folders: Iterable[str] = ()) -> InputError:
    where, endings = without_secrets(address), Image.registered_extensions()
    images = [file.name for file in files if PurePosixPath(file.name).suffix.lower() in endings]
    if images or folders:
        if where.startswith("file://"):
            return InputError(f"data.path: {where} is no file of shards; name a folder of images by its path alone")
        there = f"loose images ({listed(images, 2)})" if images else f"the folders {listed(folders, 3)}"
        return InputError(
            f"data.path: {where} holds {there} and no .parquet or .tar file; images are not read one by one from "
            f"there: pack their folder ({_PACK}) and name that"
        )
    return InputError(
        f"data.path: {where}: no .parquet or .tar file there, all that is read from an address ({_PACK} writes them)"
    )


def _download(files: list[Stored]) -> Path:
    """The folder in the cache with files as they are at their addresses now, by their names in one level."""

    def build(folder: Path) -> None:
        for file in files:
            with open_stored(file.address) as stored, (folder / _flat(file)).open("wb") as copy:
                shutil.copyfileobj(stored, copy, 1 << 22)
            if file.size is not None and (folder / _flat(file)).stat().st_size != file.size:
                raise InputError(f"{without_secrets(file.address)} was changed while it was read; run again")

    key = [[without_secrets(file.address), file.name, file.size, file.version] for file in files]
    return cached("downloads", key, build, lambda entry: entry)[0]


def _flat(file: Stored) -> str:
    return file.name.replace("/", "--")
