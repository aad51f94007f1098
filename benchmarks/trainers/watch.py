"""Tells a job of Trainer's steps and evaluations."""

from job import Job
from transformers import TrainerCallback


class Watch(TrainerCallback):
    def __init__(self, job: Job):
        self.job = job

    def on_step_end(self, *event, **others):
        self.job.stepped()

    def on_evaluate(self, *event, metrics, **others):
        self.job.evaluated(metrics["eval_accuracy"])
