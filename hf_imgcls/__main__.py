"""python -m hf_imgcls COMMAND"""

import sys

from hf_imgcls.cli import main

if __name__ == "__main__":
    sys.exit(main())
