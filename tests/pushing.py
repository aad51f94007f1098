"""A command with a hub of this machine, and maps in the report: `torchrun tests/pushing.py ENVIRONMENT train RECIPE`.

ENVIRONMENT is that of LocalHub, as JSON: the libraries, which have read theirs already, are told of it.
"""

import json
import os
import sys

from local_hub import settings_of

from hf_imgcls.cli import main

if __name__ == "__main__":
    os.environ.update(json.loads(sys.argv[1]))
    for owner, name, value in settings_of(os.environ["HF_ENDPOINT"]):
        setattr(owner, name, value)
    del sys.modules["pytorch_grad_cam"]
    sys.exit(main(sys.argv[2:]))
