"""The model card as people read it, at 2 and at 101 classes, without local paths."""

import json
import re

import pytest
from made_run import made_results, two_classes, write
from markdown_it import MarkdownIt

from hf_imgcls.words import plain


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first line begins so, intervals with plain spaces."""
    lines = text[text.index(f"| {heading}") :].replace("\u00a0", " ").split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_results_are_in_the_card(tmp_path):
    text = write(tmp_path / "run", per_class={"cat": 90, "dog": 10}, description="Cats and dogs")
    assert "# Cats and dogs\n" in text
    assert "(2,225,858 parameters), fine-tuned from [google/vit-base-patch16-224-in21k](https://huggingface.co/" in text
    assert "that classifies images into 2 classes: cat, dog." in text
    assert (
        "Accuracy on 30 test images: **90.0 %** (95 % interval 74.4 % to 96.5 %; always predicting the most frequent "
        "class: 66.7 %)."
    ) in text
    scores = rows(text, " ")
    assert scores[0] == ["", "validation", "test"]
    assert ["Accuracy", "0.9000 (0.5958 to 0.9821)", "0.9000 (0.7438 to 0.9654)"] in scores
    assert [row[0] for row in scores[2:]] == ["images", "Accuracy", "Macro-F1", "Loss", "Majority baseline"]
    assert all(re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", cell) for row in scores[3:-1] for cell in row[1:])
    dog = next(row for row in rows(text, "class |") if row[0] == "dog")
    assert dog == ["dog", "10", "10", "0.70 (0.40 to 0.89)", "1.00", "0.82", "cat (3)"]
    assert ["dog", "cat", "3 of 10", "30.0 %"] in rows(text, "class | predicted as")
    assert "reproduces the evaluated predictions on 10 of 10 validation images" in text
    assert "(max abs. probability difference 2.0e-07)" in text


def test_the_limits_follow_from_the_metrics(tmp_path):
    text = write(tmp_path / "run", per_class={"cat": 90, "dog": 10}, loss={"class_weights": "balanced"})
    assert "90 training images of cat, 10 of dog, 9.0 times as many; trained with a class-weighted loss." in text
    assert "Lowest recall: dog (7 of 10, 70.0 %)." in text
    assert "Both classes have fewer than 30 test images (fewest: dog, 10)" in text
    assert "Most frequent confusions: dog predicted as cat (3 of 10, 30.0 %)." in text
    assert "Mean top score on test: 87.7 %, accuracy 90.0 %." in text
    sure = {**two_classes(), "breakdown": {**two_classes()["breakdown"]}}
    sure["breakdown"]["test"]["mean_top_score"] = 0.99
    text = write(tmp_path / "sure", sure)
    assert "99.0 %, accuracy 90.0 %; the model is overconfident: scores are not calibrated probabilities." in text
    even = made_results(["cat", "dog", "eel"], {"test": [(0, 0)] * 40 + [(1, 1)] * 40})
    text = write(tmp_path / "even", even, per_class={"cat": 50, "dog": 60, "eel": 0})
    assert "There were no training images of eel" in text
    assert "There were no test images of eel: not scored on them." in text
    assert "No test image was predicted as another class." in text
    assert "Lowest recall" not in text
    text = write(tmp_path / "more", even, per_class={"cat": 50, "dog": 60, "eel": 55})
    assert "The classes are balanced: 50 to 60 training images per class." in text


def test_the_training_is_in_the_card(tmp_path):
    results = {**two_classes(), "notes": ["streaming: something"], "bad_images": 2}
    text = write(tmp_path / "run", results, training={"learning_rate": 1e-4, "gradient_accumulation_steps": 4})
    first, second = rows(text, "stage")[2:]
    assert first == ["1", "head, on cached features", "1,538 of 2,225,858", "0.0001", "32", "20", "1,260",
                     "step 630", "1 min 15 s"]  # fmt: skip
    assert second[1:3] == ["last 4 blocks and head", "912,000 of 2,225,858"]
    assert second[-2:] == ["last", "2 h 0 min"]
    assert ["test", "30", "`f3`"] in rows(text, "split")
    assert "- seed: 7\n" in text
    assert "torch 2.15.0" in text
    assert "- streaming: something\n" in text
    assert "- skipped 2 unreadable images\n" in text
    assert "[ethz/food101](https://huggingface.co/datasets/ethz/food101)" in text
    assert "```bash\nhf-imgcls train recipes/food.json training.learning_rate=1e-4\n```" in text
    recipe = json.loads(re.search(r"```json\n(.*?)\n```", text, re.DOTALL)[1])
    assert recipe["training"]["learning_rate"] == 1e-4
    by_layer = {"layer_decay": 0.75, "learning_rates": {"a|b": 10}}
    text = write(tmp_path / "rates", stages=[{"train": "head"}, {"optimizer": by_layer}])
    assert rows(text, "stage |")[3][3] == r"5e-05, layer decay 0.75, 10 times for a\|b"


@pytest.mark.parametrize(
    ("command", "processes", "shown"),
    [
        ("hf_imgcls/train.py r.json a=1", 1, "hf-imgcls train r.json a=1"),
        ("/x/train.py r.json", 2, "accelerate launch --num_processes 2 hf_imgcls/train.py r.json"),
        ("/x/cli.py train '/my photos/r.json' data.path=/x/y", 1, "hf-imgcls train r.json data.path=y"),
        ("""x/hf-imgcls train r.json 'stages=[{"train": "/a/b"}]'""", 1, """'stages=[{"train": "b"}]'"""),
        ("ipykernel_launcher.py -f /x/k.json", 1, 'train_classifier("recipe.json")'),
        ("unbalanced 'quote", 1, 'train_classifier("recipe.json")'),
        ("", 1, 'train_classifier("recipe.json")'),
    ],
)
def test_the_command_can_be_typed_again(command, processes, shown, tmp_path):
    text = write(tmp_path / "run", {**two_classes(), "command": command, "processes": processes})
    assert shown in text
    assert "/x" not in text


def test_the_images_that_are_there_are_shown_by_relative_paths(tmp_path):
    (tmp_path / "run" / "plots").mkdir(parents=True)
    assert "](plots/" not in write(tmp_path / "run")
    for name in ("confusion_matrix.png", "curves.png", "gallery.png"):
        (tmp_path / "run" / "plots" / name).touch()
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", write(tmp_path / "run"))
    assert shown == ["plots/confusion_matrix.png", "plots/curves.png"]


def test_a_hundred_and_one_classes_stay_readable(tmp_path):
    names = [f"dish_{n:03d}" for n in range(101)]
    wrong = [(n, (n + 1) % 101) for n in range(0, 101, 3)]
    answers = [(n, n) for n in range(101) for _ in range(4)] + wrong + [(50, 51)] * 4
    text = write(tmp_path / "run", made_results(names, {"test": answers}), per_class=dict.fromkeys(names, 5))
    assert "dish_019 and 81 more." in text
    weakest, every = (
        rows(part, "class |") for part in text.split("The 10 of 101 classes with")[1].split("<details>")[:2]
    )
    assert len(weakest) == 12
    assert (weakest[2][0], weakest[2][-1]) == ("dish_050", "dish_051 (4)")
    assert [row[0] for row in every[2:]] == names
    assert "dish_050 predicted as dish_051 (4 of 8, 50.0 %)" in text
    assert max(map(len, text.split("<!--")[0].splitlines())) < 700
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert html.count("<tr>") >= 101 + 10
    assert "| ---" not in html, "a table that is not shown as one"


def test_class_names_are_escaped(tmp_path):
    names = ["a|b", "<script>alert(1)</script>", "*star* _line_", "T_shirt", "two\nlines"]
    text = write(tmp_path / "run", made_results(names, {"test": [(n, n) for n in range(5)]}))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    for shown in ("<td>a|b</td>", "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td>", "<td>*star* _line_</td>",
                  "<td>T_shirt</td>", "<td>two lines</td>"):  # fmt: skip
        assert shown in html
    assert len(plain("x" * 500)) == 60
