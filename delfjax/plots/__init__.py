"""Figures of photos, features, matches, rankings, training and networks.

Most functions return a `Figure`. A notebook displays the figure, and ``figure.save(path)`` writes
it to a file. The public names are listed in ``__init__.pyi`` and imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
