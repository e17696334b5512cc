"""Programs that measure speed as ratios against a peer in the same run.

`python -m benchmarks [NAME...]` runs them and writes each result into its section of
docs/results.md.
"""
