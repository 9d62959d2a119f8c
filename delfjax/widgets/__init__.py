"""Interactive explorers for notebooks."""
