"""Debian packages that tests need: installed by apt where a script runs as root."""

import os
import shutil
import subprocess
import sys


def install(program: str, package: str) -> int:
    """Install the package unless its program is there; exit code 1 where that cannot be."""
    if shutil.which(program):
        return 0
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(
            f"{program} is not on this machine; on Debian: sudo apt-get install {package}",
            file=sys.stderr,
        )
        return 1
    # RUNLEVEL: what a package brings as a service is not started.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    subprocess.run(command, check=True, env=quiet)
    return 0
