"""Benchmarks: each prints ratios against a peer that it measures in the same run. Run all: python -m bench."""
