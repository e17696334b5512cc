"""Evaluation: accuracy, ablations of the latents, and diagnostics of how latents fail."""
