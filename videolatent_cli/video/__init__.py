"""Video files: information, sampling, decoding to numpy frames, clips and pictures."""
