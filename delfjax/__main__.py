"""Run the command line: ``python -m delfjax``."""

import sys

from delfjax.cli.main import main

sys.exit(main())
