"""`python -m duologue` is `duologue`."""

import sys

from duologue.cli import main

sys.exit(main())
