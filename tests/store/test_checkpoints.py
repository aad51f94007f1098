import shutil

import pytest
import torch
from safetensors.torch import save_file

from hf_imgcls.errors import RestoreError
from hf_imgcls.store import (
    clean_up,
    delete_old,
    draft_of,
    find_fault_of_weights,
    newest_whole,
    put_in_place,
    read_json,
    write_json,
)


def write_files(folder, best: int | None = None, older: bool = False):
    """What Trainer writes of one process; `older`: as versions without manifests did."""
    folder.mkdir(parents=True)
    save_file({"a": torch.ones(8)}, folder / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        torch.save({"a": torch.ones(8)}, folder / name)
    write_json(folder / "config.json", {"model_type": "vit"})
    write_json(folder / "trainer_state.json", {"best_global_step": best})
    if not older:
        write_json(folder / "progress-0.json", {})


def save(run, step: int, best: int | None = None):
    checkpoint = run / f"checkpoint-{step}"
    write_files(draft_of(checkpoint), best)
    put_in_place(draft_of(checkpoint), checkpoint)
    return checkpoint


DAMAGES = {
    "halved": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "zeroed": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "emptied": lambda file: file.write_bytes(b""),
    "deleted": lambda file: file.unlink(),
    "changed in a bit": lambda file: file.write_bytes(bytes([file.read_bytes()[0] ^ 4]) + file.read_bytes()[1:]),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_whatever_file_is_damaged_the_checkpoint_before_is_taken_and_a_line_names_the_file(damage, tmp_path):
    older, newer = save(tmp_path, 8), save(tmp_path, 20)
    names = sorted(file.name for file in newer.iterdir())
    assert len(names) == 9
    assert newest_whole(tmp_path) == (newer, [])
    for name in names:
        damage(newer / name)
        found, (line,) = newest_whole(tmp_path)
        assert found == older
        assert line.startswith(f"rejected {newer}: ")
        assert name in line or line.endswith("the weights are missing")
        shutil.rmtree(newer)
        save(tmp_path, 20)


def test_none_that_is_whole_is_none_and_a_line_for_each(tmp_path):
    for step in (2, 10):
        (save(tmp_path, step) / "optimizer.pt").unlink()
    (tmp_path / "checkpoint-x").mkdir()
    found, lines = newest_whole(tmp_path)
    assert found is None
    assert [line.split(": ")[1] for line in lines] == ["optimizer.pt is missing"] * 2
    assert "checkpoint-10" in lines[0]


def test_a_checkpoint_without_hashes_is_taken_if_its_files_are_whole_by_themselves(tmp_path):
    save(tmp_path, 1)
    older = tmp_path / "checkpoint-4"
    write_files(older, older=True)
    found, (line,) = newest_whole(tmp_path)
    assert found == older
    assert "could not be verified" in line or "verify" in line
    assert newest_whole(tmp_path, needed=["scaler.pt"])[1][0].endswith("scaler.pt is missing")
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"):
        for damage in ("halved", "zeroed", "emptied", "deleted"):
            DAMAGES[damage](older / name)
            found, (line,) = newest_whole(tmp_path)
            assert found == tmp_path / "checkpoint-1", f"{name} {damage}"
            shutil.rmtree(older)
            write_files(older, older=True)


def test_a_kill_at_any_moment_leaves_whole_checkpoints_alone(tmp_path):
    save(tmp_path, 2)
    draft = draft_of(tmp_path / "checkpoint-4")
    write_files(draft)
    (draft / "optimizer.pt").unlink()
    clean_up(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2"]
    # Killed between the manifest and the renaming.
    save(tmp_path, 4)
    draft.parent.mkdir()
    (tmp_path / "checkpoint-4").rename(draft)
    clean_up(tmp_path)
    assert newest_whole(tmp_path) == (tmp_path / "checkpoint-4", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-4"]


def test_a_damaged_checkpoint_is_replaced_by_a_whole_one_of_its_step(tmp_path):
    (save(tmp_path, 4) / "config.json").write_text("")
    save(tmp_path, 4)
    assert newest_whole(tmp_path) == (tmp_path / "checkpoint-4", [])
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (None, 2, [2, 4, 6, 8, 10]),
        (3, None, [4, 6, 8]),
        (2, 2, [2, 8]),
        (1, 2, [2, 8]),
        (1, 8, [8]),
        (4, 2, [2, 4, 6, 8]),
    ],
)
def test_neither_the_newest_nor_the_best_is_deleted_and_rejected_ones_go_first(limit, best, left, tmp_path):
    for step in (2, 4, 6, 8, 10):  # the last of which was rejected when the run went on
        save(tmp_path, step)
    delete_old(tmp_path, limit, 8, best)
    assert sorted(int(path.name.removeprefix("checkpoint-")) for path in tmp_path.iterdir()) == left


def test_a_run_whose_best_checkpoint_is_damaged_goes_on_from_one_that_does_not_need_it_or_is_refused(tmp_path):
    save(tmp_path, 2, best=2)
    best = save(tmp_path, 4, best=4)
    last = save(tmp_path, 6, best=4)
    (best / "optimizer.pt").unlink()
    assert newest_whole(tmp_path, with_best=True) == (last, [])  # its model is whole
    assert find_fault_of_weights(best) is None
    (best / "model.safetensors").unlink()
    assert newest_whole(tmp_path) == (last, [])
    found, lines = newest_whole(tmp_path, with_best=True)
    assert found == tmp_path / "checkpoint-2"
    assert lines[0].endswith("checkpoint-6: the best checkpoint, checkpoint-4: model.safetensors is missing")
    shutil.rmtree(found)
    shutil.rmtree(best)
    with pytest.raises(
        RestoreError, match=r"the best checkpoint, checkpoint-4: is missing; put it back, or add --start"
    ):
        newest_whole(tmp_path, with_best=True)


def test_a_checkpoint_of_several_processes_and_folders_is_verified_whole(tmp_path):
    draft = draft_of(tmp_path / "checkpoint-3")
    write_files(draft)
    (draft / "rng_state.pth").rename(draft / "rng_state_0.pth")
    shutil.copy(draft / "rng_state_0.pth", draft / "rng_state_1.pth")
    (draft / "optimizer_0").mkdir()
    (draft / "optimizer.pt").rename(draft / "optimizer_0" / "__0_0.distcp")
    put_in_place(draft, tmp_path / "checkpoint-3")
    found, lines = newest_whole(tmp_path)
    assert (found, lines) == (tmp_path / "checkpoint-3", [])
    assert "optimizer_0/__0_0.distcp" in read_json(found / "manifest.json")
    (found / "rng_state_1.pth").unlink()
    assert newest_whole(tmp_path)[1][0].endswith("rng_state_1.pth is missing")
