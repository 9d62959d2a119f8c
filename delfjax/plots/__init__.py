"""Figures of photos, features, matches, rankings, training and networks.

All functions return a `Figure`, which a notebook displays and ``figure.save(path)`` writes to a file. The
public names are listed in ``__init__.pyi`` and imported on first use, so importing the package is fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
