"""What a card's markers tell: damaged ones, cards that cannot be read, and those on the Hub."""

import pytest
import yaml
from huggingface_hub import ModelCard
from made_run import write
from test_card_edits import NEW, NOTHING, OLD, around, better, content, edit

from hf_imgcls.reports.card.edits import by_hand, read_card
from hf_imgcls.reports.card.write import prepare_card


@pytest.mark.parametrize("damage", [('{"block"', '{"block'), ('{"block"', ""), ("end of the generated part", "end")])
def test_a_damaged_marker_counts_as_an_edit(damage, tmp_path):
    run = tmp_path / "run"
    write(run)
    edit(run, damage)
    around(run, below="## Mine")
    text = write(run, better())
    assert text.count("## Mine") == text.count("## Limits") == 1
    assert OLD in text
    assert NEW in content(run, "README.generated.md")
    assert text == write(run, better())


def test_a_card_that_cannot_be_read_stays_and_the_new_one_is_beside_it(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    for broken in (b"---\ntags: [\n---\nmy words", b"caf\xe9", b"---\n- a list\n---\n"):
        (run / "README.md").write_bytes(broken)
        write(run)
        assert (run / "README.md").read_bytes() == broken
        assert "## Results" in content(run, "README.generated.md")
        line = capsys.readouterr().out
        assert line.startswith(f"card: {run / 'README.md'} cannot be read (")
        assert line.endswith(f"stays as it is; the new one is {run / 'README.generated.md'}\n")
    run.rename(tmp_path / "run.1")
    assert "## Results" in write(run)
    assert (tmp_path / "run.1" / "README.md").read_bytes() == broken


def pushed(run, hub) -> str:
    """Prepare the folder's card for a push, and put it onto the Hub."""
    prepare_card(run, "someone/food", hub / "README.md" if hub.exists() else None)
    hub.mkdir(exist_ok=True)
    (hub / "README.md").write_bytes((run / "README.md").read_bytes())
    return content(run)


def test_a_push_names_the_repository_and_takes_what_was_written_on_the_hub(tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    text = pushed(run, hub)
    assert 'model="someone/food")' in text
    assert ModelCard(text).data.model_name == "food"
    assert by_hand(read_card(text)) == NOTHING
    around(hub, below="Written there.")
    edit(hub, ("\nlibrary", "\nlicense: mit\nlibrary"))
    write(run, better())
    around(run, above="Written here.")
    text = pushed(run, hub)
    assert ("Written here." in text, "Written there." in text, NEW in text) == (True, True, True)
    assert (ModelCard(text).data.model_name, ModelCard(text).data.license) == ("food", "mit")
    assert pushed(run, hub) == text, "a second push changes nothing"
    assert "card:" not in capsys.readouterr().out


def test_changes_to_other_keys_on_the_hub_and_in_the_folder_both_stay(tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    around(run, below="Words of mine.")
    pushed(run, hub)
    edit(run, ("\nlibrary", "\nlicense: mit\nlibrary"), ("datasets:\n- ethz/food101\n", ""))
    edit(hub, ("\nlibrary", "\nlanguage: ko\nlibrary"), ("base_model: google", "base_model: me"))
    write(run, better())
    text = pushed(run, hub)
    found = ModelCard(text).data.to_dict()
    assert (found["license"], found["language"]) == ("mit", "ko")
    assert found["base_model"] == "me/vit-base-patch16-224-in21k"
    assert "datasets" not in found
    assert text.count("Words of mine.") == 1
    assert not (run / "README.hub.md").exists()
    assert "card:" not in capsys.readouterr().out
    # Another run, which knows nothing of that text, must not take it for deleted.
    write(tmp_path / "other")
    assert "Words of mine." in pushed(tmp_path / "other", hub)


def test_results_that_others_added_on_the_hub_stay(tmp_path):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    for value in (0.5, 0.6):  # the folder's card has the first one when the second one is added
        index = ModelCard(pushed(run, hub)).data.to_dict()["model-index"]
        task, dataset = {"type": "image-classification"}, {"type": "own", "name": "Street photos"}
        index[0]["results"].append(
            {"task": task, "dataset": dataset, "metrics": [{"type": "accuracy", "value": value}]}
        )
        text = content(hub)
        start, end = text.index("model-index:"), text.index("\n---", 5)
        (hub / "README.md").write_text(text[:start] + yaml.safe_dump({"model-index": index}).strip() + text[end:])
        write(run, better())
    found = ModelCard(pushed(run, hub)).data.eval_results
    assert [each.metric_value for each in found if each.dataset_type == "own"] == [0.5, 0.6]
    assert len(found) == 8
    values = {each.metric_value for each in found if each.dataset_split == "test" and each.metric_type == "accuracy"}
    assert values == {1.0}


def test_a_block_that_was_edited_on_the_hub_stays_there(tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    pushed(run, hub)
    edit(hub, ("# run\n", "# Our model\n"))
    write(run, better())
    text = pushed(run, hub)
    assert "# Our model\n" in text
    assert OLD in text
    new = content(run, "README.generated.md")
    assert NEW in new
    assert 'model="someone/food")' in new
    assert f"the new one is in {run / 'README.generated.md'}" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["metadata", "block"])
def test_where_both_were_edited_the_folder_s_wins_and_the_hub_s_is_saved(place, tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    for folder, license_ in ((run, "mit"), (hub, "apache-2.0")):
        write(folder)
        around(folder, below=f"By {license_}.")
        edit(folder, ("\nlibrary", f"\nlicense: {license_ if place == 'metadata' else 'mit'}\nlibrary"))
        edit(folder, ("# ", f"# {license_ if place == 'block' else 'mit'} "))
    theirs = content(hub)
    text = pushed(run, hub)
    assert ModelCard(text).data.license == "mit"
    assert "By mit.\n\nBy apache-2.0.\n" in text
    assert "# mit " in text
    assert content(run, "README.hub.md") == theirs
    assert f"which is saved as {run / 'README.hub.md'}" in capsys.readouterr().out


def test_a_card_on_the_hub_that_cannot_be_read_is_saved(tmp_path, capsys):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    hub.mkdir()
    (hub / "README.md").write_bytes(b"caf\xe9")
    assert "## Results" in pushed(run, hub)
    assert (run / "README.hub.md").read_bytes() == b"caf\xe9"
    assert "which is saved as" in capsys.readouterr().out


@pytest.mark.parametrize("own", [b"# My own card\n", b"caf\xe9", None])
def test_a_card_that_no_run_wrote_goes_up_as_it_is(own, tmp_path):
    if own is not None:
        (tmp_path / "README.md").write_bytes(own)
    prepare_card(tmp_path, "someone/food")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if own is None else [own])
