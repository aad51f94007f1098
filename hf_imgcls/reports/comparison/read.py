"""Runs and evaluations whose scored images are compared: what their folders have of them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import local_path
from hf_imgcls.reports.report.write import FOLDER, PREDICTIONS
from hf_imgcls.store import RECIPE, RESULTS, describe_if_several, read_json
from hf_imgcls.words import one_line

# Columns; the fourth and fifth have what is compared.
_ONE = ["split", "file", "row", "label", "prediction", "loss", "scores", "score"]
_SEVERAL = ["split", "file", "row", "labels", "predictions", "loss", "scores"]
_WHOLE = "evaluate MODEL DATA --output FOLDER writes it, and FOLDER can be compared"


class ScoredRun(NamedTuple):
    """A run, or an evaluation, with a row for each scored image.

    Attributes:
        name: what it is called beside the others: its folder's name, or the whole path where another has the same.
        recipe: of the run, or of the run that was evaluated; of another model its name alone.
        trained: results.json of the run that trained the model; {} where that is not known.
        rows: of all its splits, as `reports/report` writes them.
        labels: class names in the order of the model's outputs.
    """

    name: str
    folder: Path
    results: dict[str, Any]
    recipe: dict[str, Any]
    trained: dict[str, Any]
    rows: pa.Table
    labels: list[str]

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""
        return "labels" in self.rows.column_names

    @property
    def splits(self) -> list[str]:
        return pc.unique(self.rows["split"]).to_pylist()

    @property
    def data(self) -> str | None:
        """`data.path`."""
        section = self.recipe.get("data")
        path = section.get("path") if isinstance(section, dict) else None
        return path if isinstance(path, str) else None

    @property
    def model(self) -> Path:
        """The folder of the model."""
        name = self.results.get("model")
        return local_path(name, "compare") if isinstance(name, str) else self.folder

    def fingerprint(self, split: str) -> str | None:
        """Of names, contents and labels of a split's images; None where it is not known, as of a stream."""
        if self.results.get("split") == split:
            return self.results.get("fingerprint")
        found = self.results.get("fingerprints")
        return found.get(split) if isinstance(found, dict) else None

    def cautions(self, split: str) -> list[str]:
        """What must be read with the scores of a split."""
        found = self.results.get("cautions")
        found = found.get(split) if isinstance(found, dict) else found
        return [str(each) for each in found] if isinstance(found, list) else []

    def scores(self, split: str) -> dict[str, Any]:
        """As the run has them, for the whole split."""
        found = self.results["scores"]
        found = found if self.results.get("split") == split else found.get(split)
        return found if isinstance(found, dict) else {}


def read_runs(folders: Sequence[str | Path]) -> list[ScoredRun]:
    """Runs and evaluations by their folders; an InputError where one cannot be compared at all."""
    if len(folders) < 2:
        raise InputError("compare: name two or more runs, or folders of evaluate --output")
    places = [local_path(str(each), "compare") for each in folders]
    real = [place.resolve() for place in places]
    for number, place in enumerate(places):
        if real[number] in real[:number]:
            raise InputError(f"compare: {place} is named twice; name it once")
    tails = [place.name for place in real]
    names = [tail if tails.count(tail) == 1 else str(place) for tail, place in zip(tails, places, strict=True)]
    return [_read(*each) for each in zip(names, places, strict=True)]


def _read(name: str, folder: Path) -> ScoredRun:
    if not folder.is_dir():
        hint = f"{folder} is a file; name the folder" if folder.exists() else f"there is no folder {folder}"
        raise InputError(f"compare: {hint} of a run, or of evaluate --output (in {Path.cwd()})")
    if why := describe_if_several(folder):
        raise InputError(f"compare: {folder} {why}")
    results = _content(folder / RESULTS)
    if not results:
        raise InputError(f"compare: {folder} is no finished run and no evaluation: it has no {RESULTS}")
    if not isinstance(results.get("scores"), dict):
        raise InputError(f"compare: {folder / RESULTS} is damaged: it has no scores")
    rows = _rows(folder / FOLDER / PREDICTIONS, folder)
    labels = class_names(rows)
    recipe, trained, model = _content(folder / RECIPE), results, results.get("model")
    if isinstance(model, str):
        place = local_path(model, "compare")
        recipe, trained = _content(place / RECIPE) or {"model": {"checkpoint": model}}, _content(place / RESULTS)
        recipe = {**recipe, "data": {"path": results.get("data")}}
    return ScoredRun(name, folder, results, recipe, trained, rows, labels)


def _content(file: Path) -> dict[str, Any]:
    """A JSON object; {} where there is no file."""
    try:
        found = read_json(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested without end
        found = None
    if not isinstance(found, dict):
        raise InputError(f"compare: {file} is damaged; put it back from a copy")
    return found


def _rows(file: Path, folder: Path) -> pa.Table:
    """The rows of a report, their texts as plain strings; an InputError where anything that is compared is missing."""
    if not file.is_file():
        raise InputError(f"compare: {folder} has no {FOLDER}/{PREDICTIONS}, the scores of each image; {_WHOLE}")
    content = file.read_bytes()
    try:
        rows = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        rows.validate(full=True)  # texts are UTF-8
        several = "labels" in rows.column_names
        rows = rows.select(_SEVERAL if several else _ONE)
        texts = {name: pa.list_(pa.string()) if several else pa.string() for name in rows.column_names[3:5]}
        for name, kind in {"split": pa.string(), **texts}.items():
            rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(kind))
        fault = _fault(rows, class_names(rows), several)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        fault = one_line(str(error), 80)
    if fault:
        raise InputError(f"compare: {file} is damaged ({fault}); {_WHOLE}")
    return rows


def class_names(rows: pa.Table) -> list[str]:
    """In the order of the model's outputs, spelled as in the rows."""
    found = json.loads((rows.schema.metadata or {})[b"labels"])
    return [name.encode(errors="backslashreplace").decode() for name in found]


def _fault(rows: pa.Table, labels: list[str], several: bool) -> str:
    """What is missing or contradicts itself; empty where nothing does."""
    given = [rows[name] for name in rows.column_names[3:5]]
    if not len(rows) or any(rows[name].null_count for name in ("split", rows.column_names[3], "loss")):
        return "rows or values are missing"
    known = pa.array(labels, pa.string())
    named = [(pc.list_flatten(each) if several else each).drop_null() for each in given]
    if not all(pc.all(pc.is_in(each, known), min_count=0).as_py() for each in named):
        return "it has labels that are not among its classes"
    sizes = pc.list_value_length(rows["scores"]).drop_null()
    return "" if pc.all(pc.equal(sizes, len(labels)), min_count=0).as_py() else "scores do not fit the classes"
