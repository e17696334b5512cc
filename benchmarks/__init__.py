"""Programs that measure cost and accuracy; speed is a ratio against a peer in the same run.

`python -m benchmarks [NAME...]` runs them. Each writes its section of docs/results/latents.md or
docs/results/performance.md.
"""
