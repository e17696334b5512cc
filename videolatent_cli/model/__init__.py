"""Tensors: backbone, latent injection, rollout, answers.

Axis names of all shape annotations: batch frame token latent seq dim vocab height width channel,
and beside them video (rows of shared prefixes), group (frames that are encoded together), memory
(what the latents look at again), answer, position, head, headdim, patch.
"""
