"""Run the command line: ``python -m skhand``."""

import sys

from skhand.cli import main

if __name__ == "__main__":
    sys.exit(main())
