"""VideoLatent: video question answering with a few continuous latents instead of long text."""

__version__ = "0.1.0"
