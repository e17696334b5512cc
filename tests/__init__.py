"""The test suite, one file for each part of the program.

torchvision's kernels are built for CUDA: two of them are declared here, before anything imports
transformers, or it could not be imported on a CPU. Only `make processors` installs it.
"""

import torch

TORCHVISION = torch.library.Library("torchvision", "DEF")
for kernel in ("nms", "qnms"):
    TORCHVISION.define(f"{kernel}(Tensor x) -> Tensor")
