"""Output files: appended rows, what a killed run leaves, files of other programs."""

import csv
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.serving.image_list import display_name, name_hash
from hf_imgcls.serving.merge import drop_rows, merge_parts
from hf_imgcls.serving.output import FORMATS, check_continues, find_parts, read_written
from hf_imgcls.serving.output_place import check_place
from hf_imgcls.serving.rows import RowWriter, TerminalTable, column_names
from hf_imgcls.words import csv_cell

NAMES = column_names(2)
LABELS = ["line\nbreak", 'q"uo,te', "nul\0", "\u2028", "=1+1", "x" * 200_000, "\x1b[31m", "-1"]
MODEL = "deit@0123456789ab"
ODD = ["a.png", 'comma, "quote".png', "кот 猫.png", "", "back\\nslash.png"]


def row(name: str, model: str = MODEL, error: str | None = None) -> dict:
    best = [None] * 4 if error else ["red", 0.1 + 0.2, "blue, light", 1e-9]
    return dict(zip(NAMES, [name, *best, error, model], strict=True))


ROWS = [*map(row, ODD), row("broken.png", error="OSError: image file is truncated (8 bytes not processed)")]


def write(output, rows, part: int | None = None) -> None:
    """As a run does: appended lines, or a part that is merged later."""
    if part is not None or output.suffix == ".parquet":
        with RowWriter(output.with_name(f"{output.name}.part-{part or 0}"), NAMES) as lines:
            lines.write(rows)
    else:
        with RowWriter(output, NAMES) as lines:
            lines.write(rows)
    if part is None:
        merge_parts(output, NAMES)


def read(output) -> list[dict]:
    """As a user's program would."""
    if output.suffix == ".parquet":
        return pq.read_table(output).to_pylist()
    if output.suffix == ".jsonl":
        return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    with output.open(newline="", encoding="utf-8") as stream:
        rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(stream)]
    scores = [name for name in NAMES if name.startswith("score")]
    return [row | {"image": row["image"] or ""} | {key: float(row[key]) for key in scores if row[key]} for row in rows]


@pytest.fixture(params=FORMATS)
def output(request, tmp_path):
    return tmp_path / f"predictions{request.param}"


def test_rows_are_read_back_unchanged_and_more_are_appended(output):
    write(output, ROWS[:4])
    write(output, ROWS[4:])
    assert read(output) == ROWS
    written = read_written(output)
    assert written.done == {name_hash(row["image"]) for row in ROWS}
    assert (written.models, written.columns) == ({MODEL}, NAMES)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_labels_of_any_text_are_read_back_and_do_not_break_the_next_run(output):
    rows = [{**row(f"{i}"), "label_1": label} for i, label in enumerate(LABELS)]
    write(output, rows[:5])
    write(output, rows[5:])
    assert len(read_written(output).done) == len(LABELS)
    expected = [csv_cell(label) if output.suffix == ".csv" else label for label in LABELS]
    assert [row["label_1"] for row in read(output)] == expected
    if output.suffix != ".parquet":
        assert output.read_bytes().count(b"\n") == len(output.read_text().splitlines())


def test_a_long_label_does_not_widen_the_table_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    table = TerminalTable(NAMES, 5, 300)
    table.write([{**row("a.png"), "label_1": "\x1b" + "x" * 300}, {**row("b.png"), "label_2": "y" * 300}])
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"a.png  0.300 \ufffd{'x' * 25}…"
    assert second == "b.png  0.300 red"


STRANGE = [
    "=1+1.png",
    "'=1+1.png",
    "a\nb.png",
    "a\\nb.png",
    "a\\\\nb.png",
    "\x1b]0;x\x07",
    "\u202e",
    "\ud800.png",
    "-1",
]


@pytest.mark.parametrize("raw", [False, True])
def test_names_of_any_text_are_recognised_and_no_two_are_alike(raw, output):
    shown = list(map(display_name, STRANGE))
    with RowWriter(
        output if output.suffix != ".parquet" else output.with_name(f"{output.name}.part-0"), NAMES, raw
    ) as f:
        f.write(list(map(row, shown)))
    merge_parts(output, NAMES, raw)
    assert read_written(output).done == {name_hash(name) for name in shown}
    assert len(set(shown)) == len(STRANGE)
    if output.suffix == ".csv":
        cells = [row["image"] for row in read(output)]
        assert cells[0] == ("=1+1.png" if raw else "'=1+1.png")
        assert cells[3] == r"a\\nb.png"


def test_a_file_that_a_spreadsheet_saved_is_continued(tmp_path):
    output = tmp_path / "a.csv"
    write(output, ROWS[:3])
    output.write_bytes(b"\xef\xbb\xbf" + output.read_bytes().replace(b"\n", b"\r\n"))
    write(output, ROWS[3:])
    assert len(read_written(output).done) == len(ROWS)


AGAIN = ["temporary: HTTPError: HTTP Error 503: Busy", "no such file", "a link to a file that does not exist"]


def test_rows_that_know_nothing_of_an_image_are_dropped_when_it_is_read_again(output):
    rows = [row("0"), *(row(f"{i}", error=error) for i, error in enumerate(AGAIN, 1)), row("4", error="OSError: cut")]
    write(output, rows)
    write(output, [row("5"), row("6", error=AGAIN[0])], part=1)
    written = read_written(output)
    assert written.done == set(map(name_hash, "045"))
    assert written.again == set(map(name_hash, "1236"))
    output.with_name(f"{output.name}.part-new").write_text("of a run that was killed")
    drop_rows(output, set(map(name_hash, "136")), NAMES)
    merge_parts(output, NAMES)
    assert read(output) == [rows[0], rows[2], rows[4], row("5")], "the row of 2 stays, which is not read again"
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_an_output_that_is_a_link_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    output = tmp_path / "a.csv"
    output.symlink_to("there/b.csv")
    write(output, [row("0", error=AGAIN[0]), row("1")])
    drop_rows(output, {name_hash("0")}, NAMES)
    assert output.is_symlink()
    assert read(tmp_path / "there" / "b.csv") == [row("1")]
    assert len(list(tmp_path.rglob("*"))) == 3


def test_parts_are_merged_alternating_after_the_rows_there(output):
    write(output, [row("first")])
    write(output, [row("0"), row("2"), row("4")], part=0)
    write(output, [row("1"), row("3")], part=1)
    write(output, [], part=10)
    assert [path.name[-2:] for path in find_parts(output)] == ["-0", "-1", "10"]
    assert len(read_written(output).done) == 6
    merge_parts(output, NAMES)
    assert [row["image"] for row in read(output)] == ["first", "0", "1", "2", "3", "4"]
    assert find_parts(output) == []


def test_a_run_killed_while_merging_duplicates_nothing(output):
    write(output, [row("0"), row("1")])
    write(output, [row("0"), row("2")], part=0)
    write(output, [row("1"), row("3")], part=1)
    merge_parts(output, NAMES)
    assert [row["image"] for row in read(output)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_incomplete_last_line_is_cut_off_and_nothing_else(suffix, tmp_path):
    output = tmp_path / f"predictions{suffix}"
    write(output, ROWS)
    whole = output.read_bytes()
    for end in range(len(whole)):
        output.write_bytes(whole[:end])
        done = read_written(output).done
        assert output.read_bytes() == whole[:end]  # reading changes nothing
        write(output, [row for row in ROWS if name_hash(row["image"]) not in done])
        assert output.read_bytes() == whole


def test_an_incomplete_line_of_a_part_is_cut_off_too(output):
    write(output, ROWS[:3], part=0)
    part = find_parts(output)[0]
    part.write_bytes(part.read_bytes()[:-5])
    assert len(read_written(output).done) == 2
    write(output, [ROWS[2]], part=0)
    merge_parts(output, NAMES)
    assert read(output) == ROWS[:3]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"name,age\nx,1\n"),
        ("a.csv", b"name"),
        ("a.csv", b"image,label_1,score_1,label_2,score_2,error,model\nx,y\n"),
        ("a.csv", b"\xff\xfe\x00\n"),
        ("a.jsonl", b'{"image": "x"}\n'),
        ("a.jsonl", b"[1, 2]\n"),
        ("a.jsonl", b"17\n"),
        ("a.jsonl", json.dumps(dict.fromkeys(column_names(1), 5)).encode() + b"\n"),
        ("a.jsonl", b"my notes"),
        ("a.parquet", b"PAR1 or so"),
    ],
)
def test_a_file_of_another_program_is_refused_and_unchanged(name, content, tmp_path):
    output = tmp_path / name
    output.write_bytes(content)
    with pytest.raises(
        InputError, match=f"{name} exists, and .* was not written by predict or embed; name another file"
    ):
        read_written(output)
    assert output.read_bytes() == content


def test_an_output_of_an_earlier_version_is_refused_with_the_name_of_its_column(output):
    write(output, ROWS)
    if output.suffix == ".parquet":
        table = pq.read_table(output)
        pq.write_table(table.rename_columns(["picture", *table.column_names[1:]]), output)
    else:
        output.write_bytes(output.read_bytes().replace(b"image", b"picture"))
    before = output.read_bytes()
    with pytest.raises(InputError, match="which called the column 'image' 'picture'; rename it there, or name another"):
        read_written(output)
    assert output.read_bytes() == before


def test_a_field_longer_than_csv_allows_is_not_a_row(tmp_path):
    (tmp_path / "a.csv").write_text("x" * 200_000 + "\n")
    with pytest.raises(InputError, match="line 1 was not written by predict or embed"):
        read_written(tmp_path / "a.csv")


def test_a_parquet_file_of_other_columns_is_refused(tmp_path):
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="was not written by predict or embed"):
        read_written(tmp_path / "a.parquet")


def test_an_empty_file_is_accepted(output):
    output.touch()
    assert read_written(output) == (set(), set(), None, set())
    write(output, ROWS)
    assert read(output) == ROWS


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.txt", "must end in .csv, .jsonl or .parquet"), ("f.csv", "is a folder"), ("no/a.csv", "there is no folder")],
)
def test_an_output_that_cannot_be_written_is_refused(name, message, tmp_path):
    (tmp_path / "f.csv").mkdir()
    with pytest.raises(InputError, match=message):
        read_written(tmp_path / name)


@pytest.mark.parametrize("beside", ["labels.csv", "train.parquet", "recipe.json"])
def test_an_output_that_would_be_read_as_data_is_refused(beside, tmp_path):
    table = tmp_path / "photos" / beside
    table.parent.mkdir()
    check_place(tmp_path / "photos" / "new.csv", [str(table.parent)])
    table.write_text("image,label\n")
    with pytest.raises(InputError, match=f"would be read as data of that folder, beside {beside}; name a file outside"):
        check_place(tmp_path / "photos" / "new.csv", [str(tmp_path)])
    check_place(tmp_path / "photos" / "new.csv", [str(tmp_path / "elsewhere")])
    check_place(tmp_path / "new.csv", [str(tmp_path)])
    with pytest.raises(InputError, match="by its name"):
        check_place(tmp_path / "metadata.csv", [str(tmp_path)])
    table.unlink()
    write(tmp_path / "photos" / "old.csv", ROWS)
    check_place(tmp_path / "photos" / "new.csv", [str(tmp_path)])


def test_a_pipe_is_no_output_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="a pipe or a device"):
        read_written(tmp_path / "pipe.csv")


def test_another_model_or_number_of_labels_is_refused(output):
    write(output, ROWS)
    written = read_written(output)
    check_continues(written, MODEL, NAMES, output)
    check_continues(written, "moved@0123456789ab", NAMES, output)
    with pytest.raises(InputError, match=r"another model \(deit@0123456789ab, not deit@ba9876543210\)"):
        check_continues(written, "deit@ba9876543210", NAMES, output)
    with pytest.raises(InputError, match="has 2 labels per image, not 3; use --top-k 2"):
        check_continues(written, MODEL, column_names(3), output)


def test_a_part_of_other_columns_is_refused(output):
    write(output, ROWS)
    part = output.with_name(f"{output.name}.part-0")
    part.write_text(json.dumps(dict.fromkeys(column_names(1), "x")) + "\n")
    with pytest.raises(InputError, match="differ in their columns"):
        read_written(output)
