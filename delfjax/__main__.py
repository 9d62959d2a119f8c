"""Run the command line: ``python -m delfjax``."""

import sys

from delfjax.cli import main

sys.exit(main())
