"""What people write into a card survives the next run, a run that is started over, and a push."""

import os

import yaml
from huggingface_hub import ModelCard
from made_run import TWO, made_results, two_classes, write

from hf_imgcls.reports.card.parts import read_card
from hf_imgcls.reports.card.write import prepare_card

BETTER = {"validation": TWO["validation"], "test": [(0, 0)] * 20 + [(1, 1)] * 10}


def better() -> dict:
    """Another run of the same recipe, with every test image right."""
    return made_results(["cat", "dog"], BETTER)


def edit(folder, *changes: tuple[str, str]) -> None:
    file = folder / "README.md"
    text = file.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text, encoding="utf-8")


def test_a_card_nobody_has_touched_is_renewed_as_a_whole(tmp_path):
    # The second has no confusions to show, the third has them again: what is new comes where it belongs.
    for number, results in enumerate((two_classes(), better(), two_classes())):
        text = write(tmp_path / "run", results)
        assert text == write(tmp_path / f"fresh-{number}" / "run", results)
        assert "Changed by hand" not in text


def test_what_was_written_stays_in_its_place_and_the_rest_is_renewed(tmp_path):
    run = tmp_path / "run"
    write(run, per_class={"cat": 90, "dog": 10}, description="Cats and dogs")
    edit(
        run,
        ("# Cats and dogs\n", "# Our cats, our dogs\n"),
        ("## Limits\n", "A word on the matrix.\n\n## Intended use\n\n```\ncode\n\n## no heading\n```\n\n## Limits\n"),
        ("- Every image gets one of the classes, also one that shows none of them.", "- Never show it a bird."),
        ("## Training\n", "- and *this*\n\n## Training\n"),
    )
    text = write(run, better(), per_class={"cat": 90, "dog": 10}, description="Cats and dogs")
    own_section = "A word on the matrix.\n\n## Intended use\n\n```\ncode\n\n## no heading\n```"
    for kept in ("# Our cats, our dogs\n", own_section, "- Never show it a bird.", "- and *this*\n\n## Training"):
        assert text.count(kept) == 1, kept
    assert "# Cats and dogs" not in text
    assert "also one that shows none" not in text
    assert "**100.0 %** of 30 test images" in text
    assert "90.0 %" not in text
    assert "Changed by hand and not renewed: Title, Limits; figures there" in text
    order = ["# Our cats", "## Use", "## Results", "## Intended use", "## Limits", "- Never", "- and", "## Training"]
    assert sorted(order, key=text.index) == order
    assert text == write(run, better(), per_class={"cat": 90, "dog": 10}, description="Cats and dogs"), "not stable"


def test_what_was_deleted_does_not_come_back(tmp_path):
    run = tmp_path / "run"
    text = write(run)
    edit(run, (text[text.index("### Classes") : text.index("### Confusions")], ""), ("- vision\n", ""))
    text = write(run, better())
    assert "### Classes" not in text
    assert "### Confusions" not in text  # without a mistake there are none, and the run's own goes
    assert "vision" not in ModelCard(text).data.tags


def test_metadata_of_a_person_survives(tmp_path):
    run = tmp_path / "run"
    write(run)
    edit(
        run,
        ("library_name", "# ours\nlanguage:\n- en\nlicense: mit\nlibrary_name"),
        ("- vision\n", "- vision\n# the house's own\n- cats\n"),
        ("base_model: google", "base_model: facebook"),
    )
    text = write(run, better())
    found = ModelCard(text).data.to_dict()
    assert (found["language"], found["license"]) == (["en"], "mit")
    assert found["tags"] == ["image-classification", "vision", "cats", "hf-imgcls"]
    assert found["base_model"].startswith("facebook/")
    assert "# ours\n" in text
    assert "# the house's own\n" in text
    assert next(r for r in ModelCard(text).data.eval_results if r.dataset_split == "test").metric_value == 1.0
    assert text == write(run, better())


def test_results_that_a_person_has_added_stay_and_those_of_the_run_are_renewed(tmp_path):
    run = tmp_path / "run"
    write(run)
    card = ModelCard.load(run / "README.md")
    index = card.data.to_dict()["model-index"]
    index[0]["results"][1]["metrics"].append({"type": "auroc", "value": 0.77})
    index[0]["results"].append(
        {
            "task": {"type": "image-classification"},
            "dataset": {"type": "own", "name": "Street photos"},
            "metrics": [{"type": "accuracy", "value": 0.5}],
        }
    )
    content = (run / "README.md").read_text()
    start, end = content.index("model-index:"), content.index("\n---", 5)
    (run / "README.md").write_text(content[:start] + yaml.safe_dump({"model-index": index}).strip() + content[end:])
    for results in (better(), two_classes()):
        write(run, results)
        found = ModelCard.load(run / "README.md").data.eval_results
        values = [(r.dataset_name, r.dataset_split, r.metric_type, r.metric_value) for r in found]
        assert ("Street photos", None, "accuracy", 0.5) in values
        assert ("ethz/food101", "test", "auroc", 0.77) in values
        assert ("ethz/food101", "test", "accuracy", results["scores"]["test"]["accuracy"]) in values
        assert len(values) == 8


def test_what_editors_do_to_a_file_is_no_edit(tmp_path):
    run = tmp_path / "run"
    text = write(run).replace("\n", "  \r\n").replace("---  ", "---", 1).rstrip()
    (run / "README.md").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert write(run, better()) == write(tmp_path / "fresh" / "run", better())


def test_a_run_that_is_started_over_takes_what_was_written_along(tmp_path):
    for number in (1, 2, 7):
        write(tmp_path / "run")
        edit(tmp_path / "run", ("## Limits\n", f"## Number {number}\n\n## Limits\n"))
        os.utime(tmp_path / "run" / "README.md", (1000 - number, 1000 - number))  # the first is the newest
        (tmp_path / "run").rename(tmp_path / f"run.{number}")
    write(tmp_path / "run.8")  # a run of its own, which happens to be called so
    edit(tmp_path / "run.8", ("## Limits\n", "## Number 8\n\n## Limits\n"))
    before = (tmp_path / "run.1" / "README.md").read_bytes()
    text = write(tmp_path / "run", better())
    assert "## Number 1\n\n## Limits" in text
    assert not any(f"## Number {number}" in text for number in (2, 7, 8))
    assert "**100.0 %** of 30 test images" in text
    assert (tmp_path / "run.1" / "README.md").read_bytes() == before


def test_a_card_of_a_persons_own_is_kept_whole(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    own = "---\nlicense: mit\n---\n# My model\n\nAll about it.\n"
    (run / "README.md").write_text(own)
    text = write(run)
    assert "# My model\n\nAll about it.\n" in text
    assert ModelCard(text).data.license == "mit"
    assert "**90.0 %** of 30 test images" in text
    assert "All about it." in write(run, better())


def test_a_record_that_was_damaged_costs_nothing(tmp_path):
    run = tmp_path / "run"
    write(run)
    edit(run, ('{"metadata"', '{"metadata'), ("## Limits\n", "## Mine\n\n## Limits\n"))
    text = write(run)
    assert text.count("## Mine") == text.count("## Limits") == 1
    assert text == write(run)


def test_a_card_that_cannot_be_read_is_kept_beside(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    for number, broken in enumerate((b"---\ntags: [\n---\nmy words", b"caf\xe9", b"---\n- a list\n---\n"), 1):
        (run / "README.md").write_bytes(broken)
        assert "## Results" in write(run)
        assert (run / f"README.before-{number}.md").read_bytes() == broken
        assert f"it is kept as README.before-{number}.md" in capsys.readouterr().out


def test_a_push_names_the_repository_and_takes_what_was_written_on_the_hub(tmp_path):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    edit(run, ("## Limits\n", "## Written here\n\n## Limits\n"))
    write(hub)
    edit(hub, ("## Limits\n", "## Written there\n\n## Limits\n"), ("library", "license: mit\nlibrary"))
    prepare_card(run, "someone/food", hub / "README.md")
    text = (run / "README.md").read_text()
    assert 'model="someone/food")' in text
    card = ModelCard(text)
    assert (card.data.model_name, card.data.license) == ("food", "mit")
    assert "## Written there" in text
    assert "## Written here" in text
    assert "Changed by hand" not in text
    prepare_card(run, "someone/food", run / "README.md")
    assert (run / "README.md").read_text() == text, "a second push changes nothing"


def test_what_a_person_takes_back_is_gone_at_the_next_push(tmp_path):
    run, hub = tmp_path / "run", tmp_path / "hub"
    write(run)
    edit(run, ("## Limits\n", "Wrods of mine.\n\n## Limits\n"), ("library", "license: mti\nlibrary"))
    prepare_card(run, "someone/food")
    hub.mkdir()
    (hub / "README.md").write_text((run / "README.md").read_text())
    edit(run, ("Wrods", "Words"), ("mti", "mit"))
    prepare_card(run, "someone/food", hub / "README.md")
    text = (run / "README.md").read_text()
    assert "Words of mine." in text
    assert "Wrods" not in text
    assert ModelCard(text).data.license == "mit"
    assert "mti" not in text
    # Another run, which knows nothing of that text, must not take it for deleted.
    write(tmp_path / "other")
    prepare_card(tmp_path / "other", "someone/food", run / "README.md")
    assert "Words of mine." in (tmp_path / "other" / "README.md").read_text()


def test_two_people_who_say_otherwise_are_both_kept(tmp_path):
    run, hub = tmp_path / "run", tmp_path / "hub"
    for folder, license_ in ((run, "mit"), (hub, "apache-2.0")):
        write(folder)
        edit(folder, ("library", f"license: {license_}\nlibrary"), ("It gets **90.0 %**", f"By {license_}:"))
    prepare_card(run, "someone/food", hub / "README.md")
    text = (run / "README.md").read_text()
    assert ModelCard(text).data.license == "mit"
    assert "# license: apache-2.0\n" in text
    assert "By mit:" in text
    assert "By apache-2.0:" in text
    assert not (run / "README.before-1.md").exists()


def test_every_part_of_a_card_is_known_as_the_runs(tmp_path):
    card = read_card(write(tmp_path / "run", per_class={"cat": 9, "dog": 1}))
    assert [part.text for part in [*card.metadata, *card.text] if part.key is None] == []
    assert card.rewritten() == []
