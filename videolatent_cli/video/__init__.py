"""From a file to frames: ffmpeg and PyAV in, numpy out."""
