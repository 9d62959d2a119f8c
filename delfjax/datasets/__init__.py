"""Benchmarks of the field, real and rendered, behind one interface: `benchmark.Benchmark`."""
