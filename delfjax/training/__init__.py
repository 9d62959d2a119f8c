"""Train descriptors and attention with image labels only (Secs. 4.1 and 4.2 of the paper).

`train` fine-tunes the descriptors or trains the attention. `TrainingConfig` holds the settings of
a training run. The public names are listed in ``__init__.pyi``. They are imported on first use,
because importing Orbax, which saves the state of a run, takes long.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
