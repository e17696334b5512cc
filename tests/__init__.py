"""The test suite: unit/ mirrors the modules of videolatent_cli, e2e/ runs the program as a whole.

torchvision's kernels are built for CUDA: two of them are declared here, before anything imports
transformers, or it could not be imported on a CPU. Only `make processors` installs it; without it
this package stays light, since processes that tests start import it too.
"""

from importlib.util import find_spec

if find_spec("torchvision") is not None:
    import torch

    TORCHVISION = torch.library.Library("torchvision", "DEF")
    for kernel in ("nms", "qnms"):
        TORCHVISION.define(f"{kernel}(Tensor x) -> Tensor")
