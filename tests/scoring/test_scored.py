"""What is kept of scored images, on one process and on several."""

import accelerate
import numpy as np
import pytest
import torch
from made_run import from_logits
from test_trainer import make_trainer

from hf_imgcls.models.head_input import input_of_head
from hf_imgcls.scoring.scored import Sampler, collect_scored, reduce_logits


def test_the_best_classes_and_both_likelihoods_are_those_of_the_logits():
    logits, labels = np.random.default_rng(0).normal(size=(50, 8)), np.arange(50) % 8
    logits[3] = logits[3].round()  # ties
    made = from_logits(logits.astype(np.float32), labels)
    logits = logits.astype(np.float32).astype(np.float64)
    assert np.array_equal(made.ranked, np.argsort(-logits, axis=1, kind="stable")[:, :5])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.exp(made.log_likelihoods) == pytest.approx(probabilities[np.arange(50), labels], abs=1e-12)
    assert np.exp(made.top_log_probabilities) == pytest.approx(probabilities.max(axis=1), abs=1e-12)
    assert (len(made), made.classes, made.predictions.tolist()) == (50, 8, logits.argmax(axis=1).tolist())
    few = from_logits(logits[:, :2], labels % 2)
    assert few.ranked.shape == (50, 2)


def test_an_image_with_nan_logits_has_no_prediction():
    logits = np.array([[0.0, 1.0, 2.0], [0.0, np.nan, 1.0]])
    made = from_logits(logits, np.array([2, 2]))
    assert made.ranked.tolist() == [[2, 1, 0], [-1, -1, -1]]
    assert np.isnan(made.log_likelihoods).tolist() == [False, True]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_each_process_keeps_its_rows_of_the_sample(processes, monkeypatch):
    rows, batch, wanted = 23, 4, [0, 5, 11, 19, 21, 22]
    logits = torch.randn(rows, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(rows) % 6
    features, last = logits.double().cumsum(1).float(), {}
    taking = [lambda rows, process=process: last[process][rows] for process in range(processes)]
    samplers = [
        Sampler([*wanted, 23, 30], process, processes, mapped=([2, *wanted], taking[process]))
        for process in range(processes)
    ]
    gathered = []
    for first in range(0, rows, batch * processes):
        for process, sampler in enumerate(samplers):
            begin = first + process * batch
            # The last batches are filled up from the start, as accelerate does where there are several processes.
            whole = [row % rows if processes > 1 else row for row in range(begin, begin + batch)]
            whole = [row for row in whole if row < rows]
            last[process] = features[whole]
            gathered.append(sampler(logits[whole], labels[whole]))
    kept = [sampler.kept for sampler in samplers]
    monkeypatch.setattr(accelerate.utils, "gather_object", lambda own: [each.features for each in samplers])
    rows_of_features, found_features = samplers[0].sampled_features()
    assert rows_of_features.tolist() == sorted([2, *wanted])
    assert np.array_equal(found_features, features[rows_of_features].numpy())
    monkeypatch.setattr(accelerate.utils, "gather_object", lambda own: kept)
    for sampler in samplers:
        found, values = sampler.sample()
        assert found[: len(wanted)].tolist() == wanted
        assert np.array_equal(values[: len(wanted)], logits[wanted].numpy())
    reduced = torch.cat(gathered)[:rows]
    assert torch.equal(reduced, reduce_logits(logits, labels))
    split = collect_scored([reduced.numpy()], [labels.numpy()], 6, samplers[0].sample())
    assert split.sample[0].tolist() == wanted  # and not what filled up the last batches
    # What was kept of a row is what it was scored by.
    assert torch.equal(reduce_logits(torch.tensor(split.sample[1]), labels[wanted]), reduced[wanted])


def test_evaluation_keeps_a_few_numbers_per_image_and_the_logits_of_a_sample(make_folder, tmp_path):
    trainer = make_trainer(make_folder(train=2, validation=5), tmp_path / "run", per_device_eval_batch_size=4)
    kept = []
    metrics, trainer.compute_metrics = trainer.compute_metrics, lambda found: kept.append(found) or metrics(found)
    evaluated = trainer.evaluate()
    assert np.concatenate(kept[0].predictions).shape == (15, 3 + 3)
    found, scores = trainer.score(trainer.eval_dataset, "validation", [1, 7, 14], ([2, 9], ["classifier"]))
    assert scores["validation_loss"] == evaluated["eval_loss"]
    assert found.sample[0].tolist() == [1, 7, 14]
    assert found.sample[1].shape == (3, 3)
    assert found.sample[1].dtype == np.float32
    with torch.no_grad():
        pixels = torch.stack([trainer.eval_dataset[row]["pixel_values"] for row in (1, 7, 14)])
        logits = trainer.model(pixel_values=pixels).logits.numpy()
    assert found.sample[1] == pytest.approx(logits, abs=1e-5)
    pixels = torch.stack([trainer.eval_dataset[row]["pixel_values"] for row in (2, 9)])
    assert found.features[0].tolist() == [2, 9]
    assert found.features[1] == pytest.approx(input_of_head(trainer.model, "classifier", pixels).numpy(), abs=1e-5)
    nothing, _ = trainer.score(trainer.eval_dataset, "validation")
    assert nothing.features is None
    assert nothing.sample[1].shape == (0, 3)
    assert np.array_equal(nothing.ranked, found.ranked)
