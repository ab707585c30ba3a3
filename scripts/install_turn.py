"""Install the STUN and TURN server that tests/e2e/test_turn.py needs, unless it is there: coturn.

    python scripts/install_turn.py

By apt where this runs as root. Exit code 1, and what to do, where it cannot be installed.
"""

import sys

from debian import install

if __name__ == "__main__":
    sys.exit(install("turnserver", "coturn"))
