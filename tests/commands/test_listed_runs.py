"""The order of listed runs, and the file that they are written to."""

import csv
import io
import os

import pytest
from listed_run import made_run

from hf_imgcls.cli import main
from hf_imgcls.commands.run_rows import rows_of, sort_rows
from hf_imgcls.commands.run_table import columns, cut, date_of, table_of
from hf_imgcls.errors import InputError
from hf_imgcls.store import find_runs


def test_order(tmp_path):
    for name, accuracy, loss in (("a10", 0.5, 0.9), ("a2", 0.9, 0.7), ("b", None, 0.1)):
        made_run(tmp_path / name, accuracy, loss)
    made_run(tmp_path / "c", results=False)
    for place, name in enumerate(("b", "a10", "a2", "c")):
        file = tmp_path / name / "results.json"
        os.utime(file if file.exists() else tmp_path / name / "recipe.json", (10**9 - place, 10**9 - place))
    rows = rows_of(find_runs(tmp_path)[0])

    def names(key: str) -> str:
        return " ".join(row.run.folder.name for row in sort_rows(rows, key))

    assert names("name") == "a2 a10 b c"
    assert names("test") == names("validation.accuracy") == "a2 a10 b c"
    assert names("test.loss") == "b a2 a10 c"
    assert names("date") == "b a10 a2 c"
    assert names("state") == names("time") == "a2 a10 b c"
    for key in ("nme", "test.f1", "train.loss", ""):
        with pytest.raises(InputError, match="--sort: found"):
            sort_rows(rows, key)
    assert all(columns(line) <= 60 for line in table_of(rows, 60))
    assert date_of(rows[0].run._replace(date=1e20)) == "-"
    assert columns("비교 é") == 6
    assert cut("사진사진", 5) == "사진…"


def test_a_file_that_is_no_listing_is_not_replaced(tmp_path, capsys):
    made_run(tmp_path / "runs" / "=1+1", note="=1+1")
    made_run(tmp_path / "runs" / "b")
    target = tmp_path / "x.csv"
    for _ in range(2):
        assert main(["runs", str(tmp_path / "runs"), "--csv", str(target)]) == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [row["test.accuracy"] for row in rows] == ["0.75", "0.75"]
    assert sorted(row["training.note"] for row in rows) == ["", "'=1+1"]
    target.write_text("mine")
    for words in (["--csv", str(target)], ["--json", str(tmp_path)], ["--json", "no/x"], ["--json", "a", "--csv", "b"]):
        assert main(["runs", str(tmp_path / "runs"), *words]) == 2
    assert target.read_text() == "mine"
    assert capsys.readouterr().err.count("\n") == 4
