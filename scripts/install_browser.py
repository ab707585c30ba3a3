"""Install the browser that tests/e2e/test_browser.py drives, unless it is there: Debian's Chromium.

    python scripts/install_browser.py

By apt where this runs as root. Exit code 1, and what to do, where it cannot be installed.
"""

import os
import shutil
import subprocess
import sys

PACKAGE = "chromium"


def main() -> int:
    """Install it; the exit code."""
    if shutil.which(PACKAGE):
        return 0
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(
            f"{PACKAGE} is not on this machine; on Debian: sudo apt-get install {PACKAGE}",
            file=sys.stderr,
        )
        return 1
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", PACKAGE]
    subprocess.run(install, check=True, env=quiet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
