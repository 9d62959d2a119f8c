"""Benchmarks. ``make bench`` compares the speed with other libraries; ``make bench ARGS=--help`` lists all."""
