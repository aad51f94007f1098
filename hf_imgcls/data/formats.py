"""What is seen of a data file before `datasets` reads it, and why it could not: separators, encodings, archives."""

import contextlib
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import datasets
from datasets.packaged_modules.webdataset.webdataset import WebDataset, base_plus_ext
from pandas.errors import EmptyDataError

from hf_imgcls.errors import InputError
from hf_imgcls.words import listed

NO_ROWS = "has no rows"
_PACKED = (".zip", ".rar", ".7z", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst")
_SEPARATORS = (",", ";", "\t", "|")
_MOST_OF_A_LINE = 1 << 20  # bytes


def packed(names: Iterable[str]) -> str:
    """`; unpack photos.zip first` where some of these files are archives, or else nothing."""
    found = [name for name in names if name.lower().endswith(_PACKED)]
    return f"; unpack {listed(found, 2)} first and name the folder of what was in it" if found else ""


def separator(table: Path) -> str:
    """What stands between the columns of a table by its first line: what its ending says, if that is in it."""
    usual = "\t" if table.suffix.lower() == ".tsv" else ","
    with table.open("rb") as file:
        heading = file.readline(_MOST_OF_A_LINE).decode(errors="replace")
    return next((each for each in (usual, *_SEPARATORS) if each in heading), usual)


def known_fault(error: BaseException) -> str | None:
    """What is wrong with a file, where the cause is one that `datasets` has no words of a person for."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, EmptyDataError | StopIteration) or "corresponds to no data" in str(error):
        return NO_ROWS
    if isinstance(error, tarfile.ReadError):
        return "is no tar archive, or a damaged one"
    if not isinstance(error, UnicodeDecodeError):
        return None
    byte = error.object[error.start]
    return f"is not encoded as UTF-8 (byte 0x{byte:02x}); save it as UTF-8 ('CSV UTF-8' in a spreadsheet program)"


@contextlib.contextmanager
def silent_datasets() -> Iterator[None]:
    """`datasets` logs what it raises as well: nothing is logged inside."""
    before = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(before)


def check_tars(tars: list[Path]) -> None:
    """Refuse WebDatasets of which `datasets` would make other samples than are meant, or samples without their image.

    A sample are the files that follow each other with the same name up to the first dot; the fields of all are those
    of the first ones.

    Raises:
        InputError: with the archive, the file, the cause and what to do.
    """
    kinds: dict[str, str] = {}  # endings of the images, and the first file with each
    for tar in tars:
        samples: dict[str, list[str]] = {}
        last = None
        with tarfile.open(tar) as archive:
            for name in (member.name for member in archive if member.isfile()):
                key, field = base_plus_ext(name)
                if key is None:
                    continue
                if key in samples and key != last:
                    raise _apart(tar, name, field, key)
                samples.setdefault(key, []).append(field)
                last = key
                if field.rpartition(".")[2].lower() in WebDataset.IMAGE_EXTENSIONS:
                    kinds.setdefault(field, name)
        if len(samples) == 1 and len(fields := samples[last]) > 2 and (dotted := [f for f in fields if "." in f]):
            raise _dotted(tar, f"{last}.{dotted[0]}")
        _check_kinds(tar, samples.values(), kinds)
        _check_first(tar, samples)


def _check_kinds(tar: Path, samples: Iterable[list[str]], kinds: dict[str, str]) -> None:
    """Refuse images in fields of several names, of which a sample has one and another sample another."""
    if len(kinds) < 2 or all(len(kinds.keys() & set(fields)) != 1 for fields in samples):
        return
    if dotted := [name for field, name in kinds.items() if "." in field]:
        raise _dotted(tar, dotted[0])
    raise InputError(
        f"data.path: {tar} has images of several endings among its samples ({listed(kinds.values(), 3)}), of which "
        "one would be read; save all images in one format with one ending"
    )


def _check_first(tar: Path, samples: dict[str, list[str]]) -> None:
    """Refuse what `datasets` refuses, that the first samples have not all the same files, and name one."""
    first, *others = list(samples.items())[: WebDataset.NUM_EXAMPLES_FOR_FEATURES_INFERENCE] or [("", [])]
    for key, fields in others:
        if set(fields) != set(first[1]):
            raise InputError(
                f"data.path: {tar}: the sample {key!r} has the files {listed(sorted(fields))}, the sample {first[0]!r} "
                f"{listed(sorted(first[1]))}; give each sample the same ones"
            )


def _apart(tar: Path, name: str, field: str, key: str) -> InputError:
    if "." in field:
        return _dotted(tar, name)
    return InputError(
        f"data.path: {tar}: the files of the sample {key!r} do not follow each other ({name} lies apart); write the "
        "archive in the order of the names (tar --sort=name)"
    )


def _dotted(tar: Path, name: str) -> InputError:
    if "/._" in f"/{name}":
        return InputError(
            f"data.path: {tar}: {name} is no image but what macOS adds to one; write the archive again without such "
            "files (COPYFILE_DISABLE=1 tar ...)"
        )
    stem, _, ending = name.rpartition("/")[2].rpartition(".")
    return InputError(
        f"data.path: {tar}: {name} has a dot before its ending, but a sample of a WebDataset is named by what stands "
        f"before the first dot; rename such files ({stem.replace('.', '_')}.{ending}) and write the archive again"
    )
