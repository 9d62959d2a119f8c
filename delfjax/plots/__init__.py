"""Figures of photos, features, matches, rankings, training and networks.

Each function returns a `Figure`. A notebook displays the figure, and ``figure.save(path)`` writes
it to a file. The public names are listed in ``__init__.pyi``. They are imported on first use, which
makes importing the package fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
