"""DELF, attentive deep local features, in JAX (Noh et al., ICCV 2017)."""

import os
from importlib.metadata import version

__version__ = version("delfjax")

# jax 0.10 fuses convolutions on CPU in a way that makes them a third slower (measured); the empty
# value turns that off. Set before jax starts; later versions neither need the flag nor know it.
_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
if version("jaxlib").startswith("0.10.") and _FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAG}=".strip()
