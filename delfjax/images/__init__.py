"""Read photos safely."""
