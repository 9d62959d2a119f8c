"""Train descriptors and attention with image labels only (Secs. 4.1 and 4.2 of the paper).

`train` fine-tunes the descriptors or trains the attention. `TrainingConfig` holds the settings of such a
run. The public names are listed in ``__init__.pyi`` and imported on first use, because the training loop
needs Orbax, which takes long to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
