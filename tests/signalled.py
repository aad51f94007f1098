"""The second process of a training gets SIGTERM in its second step: `torchrun tests/signalled.py train RECIPE`."""

import signal
import sys

from transformers import TrainerCallback

from hf_imgcls.cli import main
from hf_imgcls.training.trainer import ImageTrainer


class SecondStep(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1 and args.process_index == 1:
            signal.raise_signal(signal.SIGTERM)


class Signalled(ImageTrainer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.add_callback(SecondStep())


if __name__ == "__main__":
    from hf_imgcls.training import prepare_stage

    prepare_stage.ImageTrainer = Signalled
    sys.exit(main(sys.argv[1:]))
