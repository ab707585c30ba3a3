"""Install the browser that tests/e2e/test_browser.py drives, unless it is there: Debian's Chromium.

    python scripts/install_browser.py

By apt where this runs as root. Exit code 1, and what to do, where it cannot be installed.
"""

import sys

from debian import install

if __name__ == "__main__":
    sys.exit(install("chromium", "chromium"))
