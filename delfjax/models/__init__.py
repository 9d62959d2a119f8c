"""The network: backbone, attention head, weights and model files."""
