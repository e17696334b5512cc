"""Optimisation: micro batches, one step, the loop, and what is logged."""
