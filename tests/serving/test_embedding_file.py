"""The nearest rows of a file of features, on values; and files that are none."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.serving import embedding_file
from hf_imgcls.serving.embedding_file import nearest_rows, open_embeddings

NONE = np.array([-1])


def in_parts(features: np.ndarray, size: int):
    rows = np.arange(len(features))
    return ((rows[i : i + size], features[i : i + size]) for i in range(0, len(rows), size))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_nearest_by_the_cosine_whatever_the_length_and_the_parts(size):
    angles = np.radians([0, 55, 10, 90, 180, 30])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    features *= np.array([1, 5, 0.1, 2, 1, 30], np.float32)[:, None]
    rows, similarities = nearest_rows(np.array([[7.0, 0.0]], np.float32), in_parts(features, size), 4, NONE)
    assert rows.tolist() == [[0, 2, 5, 1]]
    np.testing.assert_allclose(similarities[0], np.cos(np.radians([0, 10, 30, 55])), atol=1e-6)
    rows, _ = nearest_rows(features[[0, 5]], in_parts(features, size), 2, np.array([0, 5]))
    assert rows.tolist() == [[2, 5], [2, 1]], "its own row is left out, of each query"


def test_equal_ones_keep_their_order_and_there_may_be_fewer():
    features = np.array([[1, 0], [2, 0], [0, 0], [3, 0]], np.float32)
    rows, similarities = nearest_rows(np.array([[1.0, 0.0]]), in_parts(features, 2), 6, np.array([1]))
    assert rows.tolist() == [[0, 3, 2, -1, -1, -1]]
    assert similarities[0, :3].tolist() == [1, 1, 0]


def written(file, rows: list[dict], about={"model": "runs/x"}):  # noqa: B006
    kinds = [pa.string(), pa.list_(pa.float32()), pa.string(), pa.string()]
    schema = pa.schema(list(zip(("image", "features", "error", "model"), kinds, strict=True)), about)
    pq.write_table(pa.Table.from_pylist(rows, schema), file)
    return file


def row(name: str, features: list[float] | None, model: str = "x@1", error: str | None = None) -> dict:
    return {"image": name, "features": features, "error": error, "model": model}


def test_rows_without_features_are_passed_over_in_every_part(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_file, "_PART", 2)
    rows = [row("a", None, error="cut"), row("b", None, error="cut"), row("c", [1, 2]), row("d", None, error="cut"),
            row("e", [3, 4])]  # fmt: skip
    source = open_embeddings(written(tmp_path / "a.parquet", rows))
    assert (source.rows, source.model, source.place) == ({"c": 2, "e": 4}, "x@1", "runs/x")
    assert [numbers.tolist() for numbers, _ in source.batches()] == [[2], [4]]
    assert {n: each.tolist() for n, each in source.features([4, 2]).items()} == {2: [1, 2], 4: [3, 4]}
    assert not source.unfinished
    (tmp_path / "a.parquet.part-0").touch()
    assert open_embeddings(tmp_path / "a.parquet").unfinished


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda file: file.write_bytes(b"PAR1 or so"), "cannot be read as a Parquet file"),
        (lambda file: pq.write_table(pa.table({"image": ["a"]}), file), "has no features of hf-imgcls embed"),
        (lambda file: written(file, [row("a", [1, 2])], None), "has no features of hf-imgcls embed"),
        (lambda file: written(file, [row("a", None, error="x")]), "has features of no image"),
        (lambda file: written(file, [row("a", [1]), row("b", [1], "x@2")]), "has features of 2 models"),
        (lambda file: None, "no such file"),
    ],
)
def test_a_file_that_embed_has_not_written_is_refused_in_a_line(make, line, tmp_path):
    make(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=line):
        open_embeddings(tmp_path / "a.parquet")


def test_features_of_two_lengths_are_refused(tmp_path):
    source = open_embeddings(written(tmp_path / "a.parquet", [row("a", [1, 2]), row("b", [1])]))
    with pytest.raises(InputError, match="cannot be read"):
        list(source.batches())
