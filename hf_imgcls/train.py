"""accelerate launch hf_imgcls/train.py recipes/digits_resnet.json training.learning_rate=1e-3"""

import sys

from hf_imgcls.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
