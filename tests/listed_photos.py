"""Photos and the tables that list them, written as users have them."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import make_image

from hf_imgcls.recipe.sections import DataSection

COUNT = 4


def section(path, **keys) -> DataSection:
    return DataSection(path=str(path), **keys)


def png(number: int) -> bytes:
    stream = io.BytesIO()
    make_image("red", number, (8, 6)).save(stream, "PNG")
    return stream.getvalue()


def put(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
    return folder


def csv(file: Path, head: str, *rows: str, sep: str = ",") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([head, *rows]).replace(",", sep) + "\n", encoding="utf-8")
    return file


def write_parquet_bytes(root: Path, labels: list) -> Path:
    root.mkdir(exist_ok=True)
    pq.write_table(pa.table({"content": [png(i) for i in range(COUNT)], "label": labels}), root / "list.parquet")
    return root / "list.parquet"
