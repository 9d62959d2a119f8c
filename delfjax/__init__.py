"""DELF, attentive deep local features, in JAX (Noh et al., ICCV 2017)."""
