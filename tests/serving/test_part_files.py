"""The list of images in pieces, and files that appear whole or not at all."""

import io
from pathlib import Path

import pytest

from hf_imgcls.serving import as_blocks, block_size, put_list, read_list, write_list
from hf_imgcls.serving.part_files import Block, clear_run, read_block, read_written_parts, write_part
from hf_imgcls.serving.rows import column_names
from hf_imgcls.store import SharedFolder


@pytest.mark.parametrize("place", ["{folder}/rows", "memory://rows"])
def test_the_blocks_of_a_list_are_all_of_it_in_its_order(place, tmp_path):
    folder, names = SharedFolder(place.format(folder=tmp_path)), io.StringIO()
    wanted = [f"photos/{number}-é\udcff.png" for number in range(23)]
    write_list(wanted, set(), names)
    name = put_list(folder, names)
    blocks = list(as_blocks(names, 5))
    assert [(block.number, block.images) for block in blocks] == [(0, 5), (1, 5), (2, 5), (3, 5), (4, 3)]
    assert [each for block in reversed(blocks) for each in reversed(read_block(folder, name, block))] == wanted[::-1]
    assert list(read_list(names, 0, 1)) == wanted
    assert folder.names() == [name]
    folder.remove(name)
    folder.remove(name)
    assert folder.names() == []
    assert folder.read(name) is None


@pytest.mark.parametrize(("images", "actors", "batch", "device", "size"), [
    (10, 4, 4, "cpu", 4), (1000, 2, 4, "cpu", 64), (1_000_000, 8, 64, "cpu", 2048), (1_000_000, 8, 48, "cpu", 2064),
    (5000, 1, 4096, "cpu", 4096), (1_000_000, 2, 64, "cuda", 16_384),
])  # fmt: skip
def test_a_block_is_whole_batches(images, actors, batch, device, size):
    assert block_size(images, actors, batch, device) == size


def test_a_file_that_is_cut_off_is_not_there(tmp_path, monkeypatch):
    folder = SharedFolder(str(tmp_path / "rows"))
    folder.write("one", b"1")

    def fail(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        folder.write("one", b"2")
    assert folder.names() == ["one"]
    assert folder.read("one") == b"1"


@pytest.mark.parametrize("place", ["{folder}/rows", "memory://hidden"])
def test_what_a_killed_process_or_a_file_manager_leaves_is_no_other_file(place, tmp_path, monkeypatch):
    folder = SharedFolder(place.format(folder=tmp_path))
    columns = column_names(1)
    write_part(
        folder, Block(0, 0, 9, 1), [dict(zip(columns, ["a.png", "red", 0.5, None, "m@1"], strict=True))], columns
    )
    folder.write(".DS_Store", b"")
    if folder.path:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", lambda self, **words: None)  # it is killed before
            patched.setattr(Path, "replace", lambda self, target: [][0])
            with pytest.raises(IndexError):
                folder.write("part-000001-0123456789ab.parquet", b"half of it")
        assert len(list(folder.path.iterdir())) == 3
    assert read_written_parts(folder).models == {"m@1"}
    clear_run(folder)
    assert folder.path is None or {file.name[:5] for file in folder.path.iterdir()} == {".DS_S", "part-"}
