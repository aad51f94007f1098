"""The folder `report` of a run or an evaluation: report.json, two Parquet files and one page."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hf_imgcls.reports.report.content import Subject, report_content
from hf_imgcls.reports.report.page import report_page
from hf_imgcls.reports.report.rows import prediction_table, split_table, write_rows
from hf_imgcls.reports.report.set_rows import set_table
from hf_imgcls.scoring import ScoredSets
from hf_imgcls.store import write_json, write_text

FOLDER, PAGE, CONTENT, PREDICTIONS, SPLITS = (
    "report", "report.html", "report.json", "predictions.parquet", "splits.parquet",
)  # fmt: skip


def page_of(folder: Path) -> Path | None:
    """The page of a run's report, where it has one."""
    page = folder / FOLDER / PAGE
    return page if page.is_file() else None


def pool_rows(folder: Path, runs: Sequence[str], name: str) -> None:
    """One file of the validation images of several runs in a folder, the column `run` first; nothing without them."""
    parts = []
    for run in runs:
        file = folder / run / FOLDER / PREDICTIONS
        if not file.is_file():
            return
        rows = pq.read_table(file)
        rows = rows.filter(pc.equal(rows["split"].cast(pa.string()), "validation"))
        parts.append(rows.add_column(0, "run", pa.array([run] * len(rows), pa.string())))
    write_rows(folder / name, pa.concat_tables(parts))


def write_report(folder: Path, subject: Subject) -> None:
    """Write the report of what was scored into a run's folder."""
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    several = any(isinstance(output, ScoredSets) for output in subject.outputs.values())
    if several:
        write_rows(place / PREDICTIONS, set_table(subject.outputs, subject.splits, subject.results["labels"]))
    elif subject.outputs:
        write_rows(place / PREDICTIONS, prediction_table(subject.outputs, subject.splits, subject.results["labels"]))
    if (listing := split_table(subject.splits, subject.data_labels)) is not None:
        write_rows(place / SPLITS, listing)
    content = report_content(subject)
    write_json(place / CONTENT, content)
    write_text(place / PAGE, report_page(content, subject))
