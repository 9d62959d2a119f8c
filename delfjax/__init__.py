"""DELF, attentive deep local features, in JAX (Noh et al., ICCV 2017).

``import delfjax as dx`` gives what a notebook or a script needs. The public names are listed in
``__init__.pyi`` and imported on first use, so that the import itself is fast.
"""

import os
from importlib.metadata import version

import lazy_loader

__version__ = version("delfjax")

# jax 0.10 fuses convolutions on CPU in a way that makes them a third slower (measured); the empty
# value turns that off. Set before jax starts; later versions neither need the flag nor know it.
_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
if version("jaxlib").startswith("0.10.") and _FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}=".strip()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
