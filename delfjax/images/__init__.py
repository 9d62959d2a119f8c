"""Read photos safely, and load sample photos."""
