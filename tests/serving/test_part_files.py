"""The list of images in pieces, and files that appear whole or not at all."""

import io
from pathlib import Path

import pytest

from hf_imgcls.serving import as_blocks, block_size, put_list, read_list, write_list
from hf_imgcls.serving.part_files import read_block
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
