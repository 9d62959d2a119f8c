"""Read photos safely, and make sample photos."""
