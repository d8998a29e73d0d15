"""``python -m trgbp_core COMMAND``; see :mod:`trgbp_core.cli.main`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
