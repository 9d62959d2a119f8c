"""Train descriptors and attention with image labels only."""
