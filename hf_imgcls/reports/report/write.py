"""The folder `report` of a run or an evaluation: report.json, two Parquet files and one page."""

from pathlib import Path

from hf_imgcls.reports.report.content import Subject, report_content
from hf_imgcls.reports.report.page import report_page
from hf_imgcls.reports.report.rows import prediction_table, split_table, write_rows
from hf_imgcls.reports.report.set_rows import set_table
from hf_imgcls.scoring import ScoredSets
from hf_imgcls.store import write_json, write_text

FOLDER, PAGE, CONTENT, PREDICTIONS, SPLITS = (
    "report", "report.html", "report.json", "predictions.parquet", "splits.parquet",
)  # fmt: skip


def write_report(folder: Path, subject: Subject) -> None:
    """Write the report of what was scored into a run's folder; of several labels an image the Parquet files alone."""
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    several = any(isinstance(output, ScoredSets) for output in subject.outputs.values())
    if several:
        write_rows(place / PREDICTIONS, set_table(subject.outputs, subject.splits, subject.results["labels"]))
    elif subject.outputs:
        write_rows(place / PREDICTIONS, prediction_table(subject.outputs, subject.splits, subject.results["labels"]))
    if (listing := split_table(subject.splits, subject.data_labels)) is not None:
        write_rows(place / SPLITS, listing)
    if several:
        return
    content = report_content(subject)
    write_json(place / CONTENT, content)
    write_text(place / PAGE, report_page(content, subject))
