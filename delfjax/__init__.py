"""DELF, attentive deep local features, in JAX (Noh et al., ICCV 2017).

The public names of this package are enough for most notebooks and scripts. They are listed in
``__init__.pyi`` and imported on first use, so ``import delfjax as dx`` is fast.
"""

import os
from importlib.metadata import version

import lazy_loader

__version__ = version("delfjax")

# jax 0.10 fuses convolutions on CPU, which makes them a third slower (measured). The empty value
# turns the fusion off. Set the flag before jax starts. Later versions do not know the flag.
_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
if version("jaxlib").startswith("0.10.") and _FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}=".strip()

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
