"""Runs that cannot be compared, and the files of a comparison."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import test_comparison_rows
from scored_run import NAMES, drawn, scored_run, set_logits
from test_comparison_rows import LABELS, compare

from hf_imgcls.errors import InputError

pair = test_comparison_rows.pair


def _reordered(folder):
    scored_run(folder, drawn(1, LABELS), LABELS, names=NAMES[::-1])


def _renamed(folder):
    scored_run(folder, drawn(1, LABELS), LABELS, names=[*NAMES[:-1], "tiger"])


def _more(folder):
    scored_run(folder, drawn(1, LABELS, classes=8), LABELS, names=[*NAMES, "tiger"])


def _relabelled(folder):
    scored_run(folder, drawn(1, LABELS), np.where(np.arange(60) == 7, (LABELS + 1) % 7, LABELS), fingerprint="other")


def _replaced(folder):
    scored_run(folder, drawn(1, LABELS), LABELS, fingerprint="other")


def _elsewhere(folder):
    scored_run(folder, drawn(1, LABELS), LABELS, files=[f"x/{i}.jpg" for i in range(60)], fingerprint="other")


def _validation(folder):
    scored_run(folder, drawn(1, LABELS), LABELS, split="validation")


def _sets(folder):
    has = np.eye(7, dtype=bool)[LABELS]
    scored_run(folder, set_logits(1, has), has)


def _without_report(folder):
    scored_run(folder, drawn(1, LABELS), LABELS)
    (folder / "report/predictions.parquet").unlink()


def _unfinished(folder):
    scored_run(folder, drawn(1, LABELS), LABELS)
    (folder / "results.json").unlink()


def _damaged_results(folder):
    scored_run(folder, drawn(1, LABELS), LABELS)
    (folder / "results.json").write_text('{"scores": ')


def _seeds(folder):
    scored_run(folder / "seed-1", drawn(1, LABELS), LABELS)


def _file(folder):
    folder.write_text("")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_reordered, "has the classes of a in another order .cat, sheep, horse and 4 more"),
        (_renamed, "has 7 classes and a 7, and they are not the same .'tiger'"),
        (_more, "has 8 classes and a 7"),
        (_relabelled, "1 of 60 images of test have other labels in other than in a, the first: test/007.jpg"),
        (_replaced, "the same names and labels in a and other, but not the same contents"),
        (_elsewhere, "60 in a, 60 in other, none in all of them; test/000.jpg is not in all, but in a"),
        (_validation, "no split was scored by all of them: a has test; other has validation"),
        (_sets, r"a predicts one label an image, other several"),
        (_without_report, "has no report/predictions.parquet, the scores of each image; evaluate MODEL DATA"),
        (_unfinished, "is no finished run and no evaluation: it has no results.json"),
        (_damaged_results, "results.json is damaged"),
        (_seeds, "holds the runs of several seeds, none of them chosen; name one"),
        (_file, "is a file; name the folder of a run"),
        (lambda folder: None, "there is no folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(tmp_path, pair, make, words):
    make(tmp_path / "other")
    with pytest.raises(InputError, match=f"^compare: .*{words}") as refused:
        compare(pair[0], tmp_path / "other")
    assert len(str(refused.value)) < 380 + len(str(tmp_path))


def test_names_and_splits_that_are_no_choice(tmp_path, pair):
    with pytest.raises(InputError, match="name two or more runs"):
        compare(pair[0])
    with pytest.raises(InputError, match="is named twice"):
        compare(pair[0], pair[1], tmp_path / "x" / ".." / "a")
    with pytest.raises(InputError, match="--split: 'tset' was not scored by all of them: a has test; b has test"):
        compare(*pair, split="tset")
    twin = scored_run(tmp_path / "deep" / "a", drawn(1, LABELS), LABELS)
    assert [run["run"] for run in compare(pair[0], twin)["runs"]] == [str(pair[0]), str(twin)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.drop_columns(["loss"]), "damaged .*loss"),
        (lambda rows: rows.slice(0, 0), "rows or values are missing"),
        (lambda rows: rows.replace_schema_metadata({}), "damaged"),
        (lambda rows: rows.replace_schema_metadata({"labels": '["cat"]'}), "labels that are not among its classes"),
        (lambda rows: rows.replace_schema_metadata({"labels": "[3]"}), "damaged"),
        (lambda rows: rows.set_column(0, "split", pa.nulls(60, pa.string())), "rows or values are missing"),
        (lambda rows: rows.replace_schema_metadata({"labels": json.dumps([*NAMES, "one more"])}), "do not fit"),
    ],
)  # fmt: skip
def test_a_report_that_contradicts_itself_is_damaged(pair, change, words):
    file = pair[1] / "report/predictions.parquet"
    pq.write_table(change(pq.read_table(file)), file)
    with pytest.raises(InputError, match=f"predictions.parquet is damaged.*{words}|{words}"):
        compare(*pair)


def test_bytes_that_are_lost_or_turned_never_end_in_a_traceback(pair):
    file, random, refused = pair[1] / "report/predictions.parquet", np.random.default_rng(0), 0
    whole, right = file.read_bytes(), compare(*pair)
    for number in range(60):
        content = bytearray(whole[: random.integers(0, len(whole))] if number % 3 == 0 else whole)
        for place in random.integers(0, max(len(content), 1), 0 if number % 3 == 0 else 4):
            content[place] ^= 1 << random.integers(0, 8)
        file.write_bytes(content)
        try:
            assert compare(*pair) == right, "damage that was not noticed"
        except InputError:
            refused += 1
    assert refused > 45
