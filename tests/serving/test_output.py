"""Files of answers: rows behind rows, what a killed run leaves, what is not ours."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.serving import output as answers
from hf_imgcls.serving.image_list import name_hash
from hf_imgcls.serving.output import RowWriter, check_same, columns, merge_parts, parts_of, read_earlier

NAMES = columns(2)
MODEL = "deit@0123456789ab"
ODD = ["a.png", 'comma, "quote".png', "кот 猫.png", "", "back\\nslash.png"]


def row(name: str, model: str = MODEL, error: str | None = None) -> dict:
    best = [None] * 4 if error else ["red", 0.1 + 0.2, "blue, light", 1e-9]
    return dict(zip(NAMES, [name, *best, error, model], strict=True))


ROWS = [*map(row, ODD), row("broken.png", error="OSError: image file is truncated (8 bytes not processed)")]


def write(output, rows, part: int | None = None) -> None:
    """As a run does: lines, or a part of what is put together."""
    if part is not None or output.suffix == ".parquet":
        with RowWriter(output.with_name(f"{output.name}.part-{part or 0}"), NAMES) as lines:
            lines.write(rows)
    else:
        with RowWriter(output, NAMES) as lines:
            lines.write(rows)
    if part is None:
        merge_parts(output, NAMES)


def read(output) -> list[dict]:
    """As a program would."""
    if output.suffix == ".parquet":
        return pq.read_table(output).to_pylist()
    if output.suffix == ".jsonl":
        return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    with output.open(newline="", encoding="utf-8") as stream:
        rows = [{key: value or None for key, value in row.items()} for row in csv.DictReader(stream)]
    scores = [name for name in NAMES if name.startswith("score")]
    return [row | {"image": row["image"] or ""} | {key: float(row[key]) for key in scores if row[key]} for row in rows]


@pytest.fixture(params=answers.FORMATS)
def output(request, tmp_path):
    return tmp_path / f"answers{request.param}"


def test_rows_come_back_as_they_were_written_and_more_go_behind_them(output):
    write(output, ROWS[:4])
    write(output, ROWS[4:])
    assert read(output) == ROWS
    earlier = read_earlier(output)
    assert earlier.done == {name_hash(row["image"]) for row in ROWS}
    assert (earlier.models, earlier.columns) == ({MODEL}, NAMES)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_parts_are_put_together_in_turn_behind_what_is_there(output):
    write(output, [row("first")])
    write(output, [row("0"), row("2"), row("4")], part=0)
    write(output, [row("1"), row("3")], part=1)
    write(output, [], part=10)
    assert [path.name[-2:] for path in parts_of(output)] == ["-0", "-1", "10"]
    assert len(read_earlier(output).done) == 6
    merge_parts(output, NAMES)
    assert [row["image"] for row in read(output)] == ["first", "0", "1", "2", "3", "4"]
    assert parts_of(output) == []


def test_a_run_killed_while_it_put_parts_together_doubles_nothing(output):
    write(output, [row("0"), row("1")])
    write(output, [row("0"), row("2")], part=0)
    write(output, [row("1"), row("3")], part=1)
    merge_parts(output, NAMES)
    assert [row["image"] for row in read(output)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_wherever_the_last_line_is_torn_it_is_cut_off_and_nothing_else(suffix, tmp_path):
    output = tmp_path / f"answers{suffix}"
    write(output, ROWS)
    whole = output.read_bytes()
    for kept in range(len(whole)):
        output.write_bytes(whole[:kept])
        done = read_earlier(output).done
        assert output.read_bytes() == whole[:kept]  # looking changes nothing
        write(output, [row for row in ROWS if name_hash(row["image"]) not in done])
        assert output.read_bytes() == whole


def test_a_torn_part_is_cut_off_too(output):
    write(output, ROWS[:3], part=0)
    part = parts_of(output)[0]
    part.write_bytes(part.read_bytes()[:-5])
    assert len(read_earlier(output).done) == 2
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
        ("a.jsonl", b"my notes"),
        ("a.parquet", b"PAR1 or so"),
    ],
)
def test_what_somebody_else_wrote_is_refused_and_left_alone(name, content, tmp_path):
    output = tmp_path / name
    output.write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is there, and .* was not written by predict; name another file"):
        read_earlier(output)
    assert output.read_bytes() == content


def test_a_parquet_file_of_other_columns_is_refused(tmp_path):
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="was not written by predict"):
        read_earlier(tmp_path / "a.parquet")


def test_an_empty_file_is_filled(output):
    output.touch()
    assert read_earlier(output) == (set(), set(), None)
    write(output, ROWS)
    assert read(output) == ROWS


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.txt", "must end in .csv, .jsonl or .parquet"), ("f.csv", "is a folder"), ("no/a.csv", "there is no folder")],
)
def test_where_nothing_can_be_written_is_said(name, said, tmp_path):
    (tmp_path / "f.csv").mkdir()
    with pytest.raises(InputError, match=said):
        read_earlier(tmp_path / name)


def test_answers_of_another_model_or_another_number_of_labels_are_refused(output):
    write(output, ROWS)
    earlier = read_earlier(output)
    check_same(earlier, MODEL, NAMES, output)
    check_same(earlier, "moved@0123456789ab", NAMES, output)
    with pytest.raises(InputError, match=r"another model \(deit@0123456789ab, not deit@ba9876543210\)"):
        check_same(earlier, "deit@ba9876543210", NAMES, output)
    with pytest.raises(InputError, match="has 2 labels an image, not 3; say --top-k 2"):
        check_same(earlier, MODEL, columns(3), output)


def test_a_part_of_other_columns_is_refused(output):
    write(output, ROWS)
    part = output.with_name(f"{output.name}.part-0")
    part.write_text(json.dumps(dict.fromkeys(columns(1), "x")) + "\n")
    with pytest.raises(InputError, match="differ in their columns"):
        read_earlier(output)
