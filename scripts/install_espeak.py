"""Install the synthesiser that tests/e2e/test_translation.py needs, unless it is there: espeak-ng.

    python scripts/install_espeak.py

By apt where this runs as root. Exit code 1, and what to do, where it cannot be installed.
"""

import sys

from debian import install

if __name__ == "__main__":
    sys.exit(install("espeak-ng", "espeak-ng"))
