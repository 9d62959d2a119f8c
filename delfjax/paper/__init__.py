"""Reproduce the paper: its experiments, tables, figures and claims."""
