"""Read photos of any kind safely."""
