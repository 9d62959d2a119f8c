"""Score rankings by the protocols of the field."""
