"""Build the network (backbone and attention head), and load, convert and save its weights."""
