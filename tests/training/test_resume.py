import pytest
from test_checkpoints import DAMAGES

from hf_imgcls.store import read_json
from hf_imgcls.training.resume import keep_stage, read_stages

RECORDS = [{"stage": 1, "history": []}, {"stage": 2, "history": []}]
FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


@pytest.fixture
def run(tmp_path):
    """Two stages that are done."""
    folders = [tmp_path / f"stage-{number}" for number in (1, 2)]
    for number, folder in enumerate(folders, 1):
        (folder / "checkpoint-4").mkdir(parents=True)
        (folder / "checkpoint-4" / "model.safetensors").write_text("is deleted later")
        for name in FILES:
            (folder / name).write_text(f"{name} of {number}")
        keep_stage(tmp_path / "stages.json", RECORDS[:number], folder)
    return tmp_path / "stages.json", folders


def test_stages_that_are_done_stay_done(run):
    file, folders = run
    (folders[0] / "checkpoint-4" / "model.safetensors").unlink()
    assert read_stages(file, folders) == (RECORDS, [])
    assert set(read_json(folders[0] / "manifest.json")) == set(FILES)
    assert read_stages(file.with_name("of-a-new-run.json"), folders) == ([], [])


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_stage_whose_model_is_damaged_is_done_again(name, damage, run):
    file, folders = run
    damage(folders[1] / name)
    records, (line,) = read_stages(file, folders)
    assert records == RECORDS[:1]
    assert name in line
    assert line.endswith("the stage goes on from its last checkpoint")
    damage(folders[0] / name)
    assert read_stages(file, folders)[0] == []


@pytest.mark.parametrize("name", [name for name in DAMAGES if name != "deleted"])
def test_without_records_every_stage_goes_on_from_its_last_checkpoint(name, run):
    file, folders = run
    DAMAGES[name](file)
    records, (line,) = read_stages(file, folders)
    assert records == []
    assert f"{file}: it is damaged" in line
