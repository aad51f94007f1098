"""accelerate launch hf_imgcls/predict.py MODEL IMAGES... --output predictions.csv"""

import sys

from hf_imgcls.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
