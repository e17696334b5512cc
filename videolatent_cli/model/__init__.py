"""The method: backbones, latent injection, rollout and answering.

Shape annotations name their axes as follows:

- batch: Questions (triplets) of a micro batch.
- video: Videos of a micro batch; several questions can share one.
- seq: Positions of a token sequence, padding included.
- token: Positions of a short part of a sequence, or the visual tokens of one video.
- frame: Frames of one video.
- group: Groups of consecutive frames; the vision tower encodes each group as one time step.
- latent: Latents of one block, or of all blocks in order.
- memory: Vectors of a video that the latents attend to in the re-look.
- answer: Tokens of the answer.
- following: Tokens that run in one call with the end marker.
- position: Positions at which student and teacher are compared.
- dim: Width d of the language model.
- vocab: Token ids.
- head, headdim: Attention heads, and the width of one head.
- height, width: Pixels of a frame.
- patch, values: Patches of a video, and the pixel values of one patch.
- level: Decoder layers that receive extra visual features (Qwen3-VL's DeepStack).
- row: Entries of any first axis, such as selected rows.
- axes: Position axes of m-RoPE (time, height, width); absent for families with plain positions.
"""
