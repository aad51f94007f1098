"""The history of a resumed training is that of an uninterrupted one, from whichever checkpoint it goes on."""

import pytest
from test_trainer import largest_difference, make_trainer

from hf_imgcls.training.callbacks import StopEarly

STEPS = {"save_strategy": "steps", "save_steps": 2}
BEST = {"metric_for_best_model": "accuracy", "load_best_model_at_end": True}
SETTINGS = {
    "logged between two saves": {**STEPS, "logging_steps": 5, "eval_strategy": "epoch"},
    "logged at ends of epochs": {**STEPS, "save_steps": 3, "logging_strategy": "epoch", "eval_strategy": "epoch"},
    "epochs shorter than the logging": {**STEPS, "logging_steps": 100, "eval_strategy": "epoch"},
    "ends in an epoch": {**STEPS, "max_steps": 5, "logging_steps": 3, "eval_strategy": "epoch", "eval_on_start": True},
    "the best is saved": {**BEST, "save_strategy": "best", "eval_strategy": "steps", "eval_steps": 3,
                          "logging_strategy": "epoch"},
    "stopped early": {**BEST, **STEPS, "eval_strategy": "steps", "eval_steps": 2, "logging_steps": 3,
                      "learning_rate": 0.0, "num_train_epochs": 4},
    "accumulated, nothing evaluated": {**STEPS, "save_steps": 1, "gradient_accumulation_steps": 2, "logging_steps": 3},
}  # fmt: skip
TIMES = ("runtime", "per_second", "time")


def history(trainer) -> list[dict]:
    entries = trainer.state.log_history
    return [{key: entry[key] for key in entry if not key.endswith(TIMES)} for entry in entries]


def checkpoints(folder) -> list[str]:
    return sorted(map(str, folder.glob("checkpoint-*")), key=lambda path: int(path.rpartition("-")[2]))


@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_the_same_from_every_checkpoint_on(name, make_folder, tmp_path):
    folder, run = make_folder(train=4, validation=2), tmp_path / "run"
    settings = {"num_train_epochs": 2, **SETTINGS[name]}

    def train(checkpoint=None):
        stopping = {"callbacks": [StopEarly(2, 0.0)]} if name == "stopped early" else {}
        trainer = make_trainer(folder, run, "convnet", own=stopping, **settings)
        return trainer, trainer.train(checkpoint)

    whole, output = train()
    assert any("loss" in entry for entry in history(whole)[:-1])
    for checkpoint in checkpoints(run):  # each later one was written by a training that was resumed itself
        resumed, again = train(checkpoint)
        assert history(resumed) == history(whole), checkpoint
        assert again.training_loss == output.training_loss
        assert largest_difference(whole.model, resumed.model) == 0.0
