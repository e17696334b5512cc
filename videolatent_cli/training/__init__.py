"""Training: batches, the step and its losses, the loop, the optimizer, several processes."""
