"""Run code as a user without permissions, even if root runs the tests."""

import os
from contextlib import contextmanager

NOBODY = 65534


@contextmanager
def no_permission(path, left=0):
    """Take away all permissions of a file or folder but those ``left``, also from root."""
    mode = path.stat().st_mode & 0o777
    path.chmod(left)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(mode)
