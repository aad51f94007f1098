import pytest
import torch
from pairs import Pairs
from tiny import CONFIGS, tiny_model, tiny_processor
from torch.nn.functional import cross_entropy
from transformers import DefaultDataCollator, TrainingArguments

from hf_imgcls.data.load import load_data
from hf_imgcls.data.streaming import attach_transform
from hf_imgcls.images.mixing import Mixing
from hf_imgcls.images.transforms import EvalTransform, TrainTransform
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.recipe.sections import DataSection
from hf_imgcls.training.loss import Terms, total_loss
from hf_imgcls.training.trainer import ImageTrainer

TERMS = Terms(torch.tensor([1.0, 9.0, 2.0]), torch.tensor([0.7, 0.2, 0.1]), logit_adjustment=0.5, focal_gamma=1.5)
AUGMENTATION = [
    {"RandomResizedCrop": {"scale": [0.3, 1.0]}},
    "RandomHorizontalFlip",
    {"ColorJitter": {"brightness": 0.3}},
]


def make_trainer(folder, output, family="vit", images=None, own=None, **training) -> ImageTrainer:
    data = load_data(DataSection(path=str(folder)))
    scoring = EvalTransform(tiny_processor(), range(3))
    images = images or TrainTransform(AUGMENTATION, scoring.processor, range(3), seed=3)
    arguments = {
        "per_device_train_batch_size": 4,
        "learning_rate": 5e-3,
        "num_train_epochs": 2,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        **training,
    }
    return ImageTrainer(
        tiny_model(family),
        TrainingArguments(str(output), **arguments),
        data_collator=DefaultDataCollator(),
        train_dataset=data.splits["train"].with_transform(images),
        eval_dataset=data.splits["validation"].with_transform(scoring),
        processing_class=scoring.processor,
        images=images,
        **(own or {}),
    )


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def largest_difference(a, b) -> float:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max((x.double() - y.double()).abs().max().item() for x, y in pairs)


@pytest.mark.parametrize("family", CONFIGS)
def test_the_best_model_comes_back_exactly(family, make_folder, tmp_path):
    # The largest loss is called the best, so that the best step is the first and not the last.
    training = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    trainer = make_trainer(
        make_folder(train=8, validation=4), tmp_path / "run", family, **training,
        metric_for_best_model="loss", greater_is_better=True, learning_rate=2e-2,
    )  # fmt: skip
    trainer.train()
    assert trainer.state.best_global_step == 6 < trainer.state.global_step
    assert differing_tensors(trainer.model, trainer.state.best_model_checkpoint) == []
    assert differing_tensors(trainer.model, tmp_path / "run" / "checkpoint-12") != []


WORKERS = {"dataloader_num_workers": 2, "dataloader_persistent_workers": True}  # as a silent recipe has it


@pytest.mark.parametrize(
    ("family", "before", "after"), [*((family, {}, [{}, WORKERS]) for family in CONFIGS), ("vit", WORKERS, [WORKERS])]
)
def test_a_run_resumed_in_its_second_epoch_ends_where_an_uninterrupted_one_does(
    family, before, after, make_folder, tmp_path
):
    folder = make_folder(train=4, validation=2)
    training = {"save_strategy": "steps", "save_steps": 4, "eval_strategy": "steps", "eval_steps": 2}
    whole = make_trainer(folder, tmp_path / "run", family, **training, **before)
    whole.train()
    for workers in after:
        resumed = make_trainer(folder, tmp_path / "run", family, **training, **workers)
        assert largest_difference(whole.model, resumed.model) > 0
        resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
        assert resumed.state.global_step == whole.state.global_step == 6
        assert largest_difference(whole.model, resumed.model) == 0.0


class Recorder(TrainTransform):
    """Remembers what each image looked like: (epoch, row) -> its sum."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = {}

    def __call__(self, rows):
        batch = super().__call__(rows)
        for row, pixels in zip(rows["row"], batch["pixel_values"], strict=True):
            self.seen.setdefault((int(self.epoch), row), []).append(pixels.sum().item())
        return batch


def test_another_epoch_shows_other_images(make_folder, tmp_path):
    recorder = Recorder(AUGMENTATION, tiny_processor(), range(3), seed=3)
    make_trainer(make_folder(train=2, validation=2), tmp_path / "run", images=recorder).train()
    assert sorted(recorder.seen) == [(epoch, row) for epoch in (0, 1) for row in range(6)]
    assert all(recorder.seen[0, row] != recorder.seen[1, row] for row in range(6))


def test_another_pass_over_a_stream_shows_other_images(make_folder, tmp_path):
    recorder = Recorder(AUGMENTATION, tiny_processor(), range(3), seed=3)
    trainer = make_trainer(make_folder(train=2, validation=2), tmp_path / "run", images=recorder, max_steps=6)
    names = ["blue", "green", "red"]
    data = load_data(DataSection(path=str(tmp_path / "photos"), streaming=True, label_names=names))
    trainer.train_dataset = attach_transform(data.splits["train"], recorder)
    trainer.train()
    passes = {epoch for epoch, _ in recorder.seen}
    assert passes == {0, 1, 2}
    assert all(len(looks) == 1 for looks in recorder.seen.values())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("own", [{}, {"mixing": Pairs()}, {"mixing": Pairs(), "terms": TERMS}])
def test_accumulated_batches_make_the_step_of_one_large_batch(own, smoothing, make_folder, tmp_path):
    folder = make_folder(train=6, validation=3)
    steps = []
    for batch, accumulation in ((16, 1), (4, 4)):
        trainer = make_trainer(
            folder, tmp_path / f"{batch}", "vit", per_device_train_batch_size=batch, max_steps=1, optim="sgd",
            gradient_accumulation_steps=accumulation, label_smoothing_factor=smoothing, max_grad_norm=0, warmup_steps=0,
            own=own,
        )  # fmt: skip
        without_dropout(trainer.model)
        trainer.train()
        steps.append((trainer.model, trainer.state.log_history[-1]["train_loss"]))
    assert steps[0][1] == pytest.approx(steps[1][1], abs=1e-6)
    assert largest_difference(steps[0][0], steps[1][0]) < 1e-7


def test_the_mixed_loss_is_the_cross_entropy_written_by_hand(make_folder, tmp_path):
    own = {"mixing": Mixing(["MixUp", "CutMix"], 3)}
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", own=own, label_smoothing_factor=0.1)
    model = without_dropout(trainer.model).train()
    inputs = {"pixel_values": torch.randn(6, 3, 16, 16), "labels": torch.tensor([0, 1, 2, 0, 1, 2])}
    for seed in range(6):
        torch.manual_seed(seed)
        loss = trainer.compute_loss(model, inputs, num_items_in_batch=torch.tensor(6)).item()
        torch.manual_seed(seed)
        pixels, targets = own["mixing"](inputs["pixel_values"], inputs["labels"])
        probabilities = torch.softmax(model(pixel_values=pixels).logits, dim=1)
        targets = 0.9 * targets + 0.1 / 3
        assert loss == pytest.approx(-(targets * probabilities.log()).sum().item() / 6, rel=1e-5)
    assert not model.config.problem_type


def test_evaluation_is_neither_mixed_nor_weighted(make_folder, tmp_path):
    own = {"mixing": Mixing(["MixUp"], 3), "terms": TERMS}
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", own=own)
    inputs = {"pixel_values": torch.randn(5, 3, 16, 16), "labels": torch.tensor([0, 1, 2, 0, 1])}
    model = trainer.model.eval()
    logits = model(pixel_values=inputs["pixel_values"]).logits
    assert trainer.compute_loss(model, inputs).item() == pytest.approx(cross_entropy(logits, inputs["labels"]).item())
    trainer.mixing = None
    trained = trainer.compute_loss(without_dropout(model.train()), inputs, num_items_in_batch=torch.tensor(5)).item()
    assert trained == pytest.approx(total_loss(logits, inputs["labels"], TERMS).item() / 5)


def test_frozen_modules_stay_in_evaluation_while_the_others_train(make_folder, tmp_path):
    trainer = make_trainer(make_folder(train=4, validation=3), tmp_path / "run", "timm", max_steps=2)
    trainer.frozen = [trainer.model.timm_model.layer1]
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items() if "running" in name}
    trainer.train()
    moved = {name for name, tensor in trainer.model.state_dict().items() if "running" in name}
    moved = {name for name in moved if not before[name].equal(trainer.model.state_dict()[name])}
    assert moved == {name for name in before if ".layer1." not in name}
