"""The walkthroughs: what is committed was executed by this version, and they run again from nothing."""

import hashlib
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from fresh import write_kernel
from nbclient import NotebookClient

import hf_imgcls

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODULES = [ROOT / "notebooks" / name for name in ("at_hand.py", "drawn.py")]


def code_cells(file: Path):
    return [cell for cell in nbformat.read(file, 4).cells if cell.cell_type == "code"]


def printed(cells) -> str:
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


def kinds_of_lines(text: str) -> set[str]:
    """What lines begin with, as `test: ...` and `time: ...`: their numbers are those of one run."""
    return set(re.findall(r"^([a-z][a-z ]*): ", text, re.MULTILINE))


def test_there_are_four():
    assert [file.stem[0] for file in NOTEBOOKS] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_what_is_committed_was_executed_in_order_and_names_no_machine(file):
    cells = code_cells(file)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users|usr)/", file.read_text())


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_what_is_committed_is_the_output_of_these_cells_and_of_this_version(file):
    cells = code_cells(file)
    text = "\n".join([*(cell.source.strip() for cell in cells), *(each.read_text().strip() for each in MODULES)])
    found = re.fullmatch(r"hf_imgcls (\S+), torch \S+, .*; cells (\w+)\n", printed(cells[-1:]))
    assert found.groups() == (hf_imgcls.__version__, hashlib.sha256(text.encode()).hexdigest()[:16]), "make notebooks"


def _two_epochs(cell) -> int:
    """Let a cell train two epochs, on few images of a split, where it would train more; returns in how many places."""
    cell.source = re.sub(r"train\[:\d+\]", "train[:150]", cell.source)
    cell.source, places = re.subn(r"(num_train_epochs\W+(?:\d+ if \w+ else )?)\d+", r"\g<1>2", cell.source)
    return places


UNDRAWN = f"""
import sys
sys.path.append({str(ROOT / "tests")!r})
from hf_imgcls.reports import figures, inspection_figures
from undrawn import Plots
figures.import_plots = inspection_figures.import_plots = Plots
from hf_imgcls.training import regression
regression._FEW = 0  # as the fixture without_folds does
"""


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs_from_nothing(file, tmp_path, monkeypatch):
    """Neither photos nor weights are beside the copy, as in a fresh clone. Few images, and runs draw no plots."""
    for folder in ("notebooks", "recipes"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("runs"))
    drawn = tmp_path / "notebooks" / "drawn.py"
    assert drawn.read_text().count("first + each]") == 1
    drawn.write_text(drawn.read_text().replace("first + each]", "first + max(each // 8, 4)]"))
    write_kernel(tmp_path / "jupyter")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    notebook = nbformat.read(file, 4)
    stored = printed(code_cells(file))
    shortened = [_two_epochs(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert any(shortened)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(UNDRAWN))
    NotebookClient(
        notebook, timeout=300, startup_timeout=300, resources={"metadata": {"path": str(tmp_path / "notebooks")}}
    ).execute()
    said = printed(cell for cell in notebook.cells if cell.cell_type == "code")
    assert kinds_of_lines(stored) <= kinds_of_lines(said), "it prints other lines than those stored: make notebooks"
    assert "parity check passed" in said
