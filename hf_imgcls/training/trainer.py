"""The one Trainer subclass: uint8 images, our own loss, weights restored exactly, scores in full precision."""

import warnings
from collections.abc import Iterable, Sequence

import datasets
import torch
from transformers import EvalPrediction, PrinterCallback, ProgressCallback

from hf_imgcls.images import Mixing, TrainTransform, fill_with_noise
from hf_imgcls.machine import exact_float32
from hf_imgcls.models import FeatureTap, is_multi_label, read_thresholds
from hf_imgcls.scoring import Sampler, Scored, add_features, are_few, collect_scored, compute_metrics
from hf_imgcls.training.accuracy import RunningAccuracy
from hf_imgcls.training.callbacks import EpochCallback, EpochTable, QuietBar
from hf_imgcls.training.distillation import DistillingTrainer
from hf_imgcls.training.ema import AveragingTrainer
from hf_imgcls.training.gradients import EveryGradient, torch_refusals
from hf_imgcls.training.interruption import InterruptibleTrainer
from hf_imgcls.training.loss import NO_CUSTOM, PLAIN, Custom, Terms, own_loss, total_loss
from hf_imgcls.training.order import OrderTrainer
from hf_imgcls.training.rates import RatesTrainer
from hf_imgcls.training.set_loss import SetTerms
from hf_imgcls.training.settings import forget_precision, without_autocast
from hf_imgcls.training.stream import StreamTrainer
from hf_imgcls.training.timing import Clock, TimedRows
from hf_imgcls.training.workers import WorkersTrainer


class ImageTrainer(
    WorkersTrainer, InterruptibleTrainer, DistillingTrainer, RatesTrainer, AveragingTrainer, OrderTrainer, StreamTrainer
):
    """Trainer for image classifiers.

    Args:
        images: the transform of the training split, which turns uint8 images into the model's floats on the device.
        frozen: modules that run as in evaluation while the others train: a frozen batch normalisation would still
            change its statistics, and a frozen dropout still drop.
        terms: what the training loss has beside cross-entropy.
    """

    def __init__(
        self,
        *args,
        images: TrainTransform | None = None,
        frozen: Sequence[torch.nn.Module] = (),
        mixing: Mixing | None = None,
        terms: Terms = PLAIN,
        custom: Custom = NO_CUSTOM,
        **kwargs,
    ):
        self.custom = custom
        self._reduce = Sampler((), 0, 1, custom.probabilities)
        with warnings.catch_warnings():  # the loss below smooths several labels an image too
            warnings.filterwarnings("ignore", "Label smoothing is not compatible with multi-label")
            super().__init__(*args, compute_metrics=self._metrics, preprocess_logits_for_metrics=self._reduce, **kwargs)
        self.args.eval_do_concat_batches = False  # once at the end, not all of them again with every batch
        self.frozen, self.mixing, self.terms = frozen, mixing, terms.to(self.args.device)
        if isinstance(custom.loss, torch.nn.Module):
            custom.loss.to(self.args.device)
        # The loss below is divided by the images of the whole step, whatever the model's forward accepts.
        self.model_accepts_loss_kwargs = True
        self.images, self._scale_and_shift, self._operations = images, None, {}
        if self.is_fsdp_enabled:
            # Not every image model knows its input embeddings, and those that do would have them sharded twice.
            self.model.get_input_embeddings = lambda: None
        if images is not None:
            self.add_callback(EpochCallback(images, self.position))
            if not (self.is_fsdp_enabled or self.is_deepspeed_enabled):  # which keep gradients elsewhere
                self.add_callback(EveryGradient(images.size))
        self.clock = Clock(self.args.device)
        self.add_callback(self.clock)
        self.remove_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback):
            self.add_callback(QuietBar())
        several = is_multi_label(self.model.config)
        self.plain = SetTerms() if several else PLAIN
        # Labels of mixed images are soft, and several labels an image are not right or wrong together.
        self.accuracy = None if mixing or several else RunningAccuracy(self.args.device)
        if self.accuracy:
            self.add_callback(self.accuracy)
            self.progress.add("training accuracy", self.accuracy)
        # Behind the clock, which is read for each row.
        table = EpochTable(self.clock, accuracy=self.accuracy is not None)
        self.add_callback(table)
        self.progress.add("table of epochs", table)
        if isinstance(self.train_dataset, datasets.Dataset):
            self.train_dataset = self.clock.rows = TimedRows(self.train_dataset)

    def create_accelerator_and_postprocess(self):
        forget_precision(self.args)
        super().create_accelerator_and_postprocess()

    def train(self, *args, **kwargs):
        with torch_refusals(self.args):
            return super().train(*args, **kwargs)

    def _prepare_inputs(self, inputs):
        inputs = super()._prepare_inputs(inputs)
        pixels = inputs["pixel_values"]
        if self.model.training:
            self.clock.saw(pixels)  # as they come to the device
        if pixels.dtype == torch.uint8:
            if self._scale_and_shift is None:  # once: each such copy would wait for all that the GPU has to do
                self._scale_and_shift = [t.to(pixels.device) for t in (self.images.scale, self.images.shift)]
            scale, shift = self._scale_and_shift
            pixels = pixels.float().mul_(scale).add_(shift)
            if "erased" in inputs:
                pixels = fill_with_noise(pixels, inputs["erased"])
            inputs = {**inputs, "pixel_values": pixels}
        return inputs

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Cross-entropy, of several labels an image a binary one; in training alone mixed, smoothed and with its terms.

        In training it is the sum over this batch divided by the images of the whole optimizer step, or by their labels
        where each may have several: over all batches that are accumulated and over all processes, so 16x1, 4x4 and two
        processes of 8 are the same step, with soft labels too.
        """
        pixels, labels = inputs["pixel_values"], inputs["labels"]
        terms, smoothing, count = self.plain, 0.0, labels.numel()
        if model.training:
            terms, smoothing = self.terms, self.args.label_smoothing_factor
            for module in self.frozen:  # here, because the Trainer puts the whole model into training at every step
                module.eval()
            if self.mixing:
                pixels, labels = self.mixing(pixels, labels)
        outputs = model(pixel_values=pixels)
        if model.training and self.accuracy:
            self.accuracy.saw(outputs["logits"], labels)
        if model.training and self.custom.loss:
            total = own_loss(self.custom.loss, outputs["logits"], labels)
        else:
            total = total_loss(outputs["logits"], labels, terms, smoothing)
        if model.training:
            total = self.distilled(total, pixels, outputs["logits"])
        if num_items_in_batch is None or not model.training:
            loss = total / count
        else:
            # Gradients are averaged over processes: the factor undoes it where the count is of all of them.
            everywhere = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
            loss = total / num_items_in_batch.flatten()[0] * everywhere
        return (loss, outputs) if return_outputs else loss

    def floating_point_ops(self, inputs) -> int:
        """Trainer's own, once for each shape: it walks through all modules and parameters, which takes its time."""
        shape = inputs["pixel_values"].shape
        if shape not in self._operations:
            self._operations[shape] = super().floating_point_ops(inputs)
        return self._operations[shape]

    def log(self, logs, *args, **kwargs):
        """Trainer's own; the accuracy of the training images since the last log stands beside their loss."""
        if "loss" in logs and self.accuracy and (value := self.accuracy.read(self.accelerator)) is not None:
            logs["train_accuracy"] = value
        super().log(logs, *args, **kwargs)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """Logits alone: hidden states that a model also returns would be gathered and stored."""
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        return loss, logits[0] if isinstance(logits, tuple) else logits, labels

    def score(
        self, dataset, split: str, sample: Iterable[int] = (), mapped: tuple[Iterable[int], Sequence[str]] = ((), ())
    ) -> tuple[Scored, dict[str, float]]:
        """A scored split, with the logits of its `sample` rows, the same on every process; and its metrics.

        In float32 without autocast, whatever the training's precision.

        Args:
            mapped: rows whose features are kept, and the names of the layers that features go into.
        """
        self.args.fp16_full_eval = self.args.bf16_full_eval = False
        kept = self.custom.probabilities or are_few(dataset, self.model.config.num_labels)
        tap = FeatureTap(self.model, mapped[1])
        place = (self.args.process_index, self.args.world_size)
        sampler = Sampler(sample, *place, kept, (mapped[0], tap.take))
        self.preprocess_logits_for_metrics = sampler
        try:
            with exact_float32(), without_autocast(self), tap:
                output = self.predict(dataset, metric_key_prefix=split)
        finally:
            self.preprocess_logits_for_metrics = self._reduce
            self.stop_workers()
        self.clock.scoring += output.metrics[f"{split}_runtime"]
        thresholds = read_thresholds(self.model.config)
        scored = collect_scored(*output[:2], sampler.classes, sampler.sample(), thresholds)
        return add_features(scored, sampler.sampled_features()), output.metrics

    def _metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        found = collect_scored(prediction.predictions, prediction.label_ids, self.model.config.num_labels)
        return compute_metrics(found, self.custom.metrics)
