"""ResNet-18 and ResNet-34 of [1]_, one block per step.

    layer     kernels  channels  blocks (18, 34)  map (224 px)
    maxpool   7 / 2          64                   56, after a 3 x 3 max-pool with stride 2
    layer1.k  3, 3           64  2, 3             56
    layer2.k  3, 3          128  2, 4             28
    layer3.k  3, 3          256  2, 6             14
    layer4.k  3, 3          512  2, 3             7
    fc        mean over the map, then linear to 1000 classes

A block is ``relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))``; where the channels change, the first
convolution has stride 2, and the shortcut is a 1 x 1 convolution. Batch normalisation uses its stored
statistics. Parameters and buffers have the names and shapes of torchvision's, whose weights can be loaded.

No publication assigns its layers to regions: here V4 has the last block of 128 channels, pIT the
last of 256, and cIT and aIT the last but one of 512, as in the intermediate ConvRNNs.

References
----------
.. [1] He et al. (2016), Deep residual learning for image recognition. CVPR. arXiv:1512.03385, Table 1.
.. [2] He et al. (2015), Delving deep into rectifiers. ICCV. arXiv:1502.01852, equation 14.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from brainfit.support.arguments import whole_number

from ..adapters import ModuleModel, from_module
from ..weights.load import choose_image_size, set_random_or_loaded

CHANNELS = (64, 128, 256, 512)
SMALLEST = 32  # pixels: then the last map is a single one


def resnet18(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    readout_gain: float = 1.0,
) -> ModuleModel:
    """Build ResNet-18: 10 layers, each two convolutions but for the first and the last.

    Parameters
    ----------
    image_size
        Height and width of its images in pixels, 32 or more. Default: what the weights were trained on,
        or 128.
    seed
        Seed of random weights: those of convolutions are normal with variance 2 / fan-out [2]_, and batch
        normalisation changes nothing.
    weights
        As for `model_zoo.networks.shallow.shallow_convrnn`.
    n_classes
        Outputs of ``fc``.
    readout_gain
        As for `model_zoo.networks.shallow.shallow_convrnn`, of ``fc``.

    Examples
    --------
    >>> model = resnet18(n_classes=10)
    >>> model.layers[:3], model.region_layers["pIT"], model.weights
    (('maxpool', 'layer1.0', 'layer1.1'), 'layer3.1', 'random:0')
    """
    return _build("resnet18", (2, 2, 2, 2), image_size, seed, weights, n_classes, readout_gain)


def resnet34(
    image_size: int | None = None,
    seed: int = 0,
    weights: str = "random",
    *,
    n_classes: int = 1000,
    readout_gain: float = 1.0,
) -> ModuleModel:
    """Build ResNet-34: 18 layers; parameters as for `resnet18`."""
    return _build("resnet34", (3, 4, 6, 3), image_size, seed, weights, n_classes, readout_gain)


class Block(nn.Module):
    """Two 3 x 3 convolutions, added to their input; the first may have a stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Identity()
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(image, inputs, height, width) -> (image, outputs, height / stride, width / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x), inplace=True)


class ResNet(nn.Module):
    """A residual network with a given number of blocks in each of its four stages."""

    def __init__(self, blocks: tuple[int, int, int, int], n_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, CHANNELS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(CHANNELS[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _stage(inputs, outputs, n)
            for inputs, outputs, n in zip((CHANNELS[0], *CHANNELS[:3]), CHANNELS, blocks, strict=True)
        )
        self.fc = nn.Linear(CHANNELS[-1], n_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(image, 3, height, width) -> (image, class)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(images)), inplace=True))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


def _stage(inputs: int, outputs: int, n_blocks: int) -> nn.Sequential:
    """Return blocks the first of which changes the channels, and halves the map where it does."""
    first = Block(inputs, outputs, stride=1 if inputs == outputs else 2)
    return nn.Sequential(first, *(Block(outputs, outputs, stride=1) for _ in range(n_blocks - 1)))


@torch.no_grad()
def initialise(network: nn.Module, seed: int, readout_gain: float = 1.0) -> None:
    """Draw the weights of `network` from `seed`; batch normalisation stays as it was made, without effect."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear", generator=generator)
            module.weight *= readout_gain
            nn.init.zeros_(module.bias)


def _build(
    name: str,
    blocks: tuple[int, int, int, int],
    image_size: int | None,
    seed: int,
    weights: str,
    n_classes: int,
    readout_gain: float,
) -> ModuleModel:
    size = choose_image_size(image_size, weights, SMALLEST)
    with torch.random.fork_rng(devices=[]):  # torch's own layers draw weights when they are made
        network = ResNet(blocks, whole_number("n_classes", n_classes, 1))
    called = set_random_or_loaded(network, weights, seed, initialise, readout_gain)
    stages = [f"layer{stage}.{k}" for stage, n in enumerate(blocks, 1) for k in range(n)]
    v4, pit, it = f"layer2.{blocks[1] - 1}", f"layer3.{blocks[2] - 1}", f"layer4.{blocks[3] - 2}"
    return from_module(
        network,
        ("maxpool", *stages, "fc"),
        size,
        name=name,
        region_layers={"V4": v4, "pIT": pit, "cIT": it, "aIT": it, "IT": it},
        readout_layers=("fc",),
        weights=called,
    )
