"""Small networks like those that torchvision, timm and authors of recurrent models publish."""

import torch
import torch.nn.functional as F
from torch import nn

from brainfit.contracts.presentation import Presentation

SIZE = 16
SHOWN = Presentation(on_ms=30, off_ms=40)
HELD = Presentation(on_ms=70, off_ms=0)
GRAY = torch.full((1, 3, SIZE, SIZE), 0.5)


def some_images() -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def normalized(images: torch.Tensor) -> torch.Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(196, 5),
    )


class Residual(nn.Module):
    """A residual block that reuses one in-place ReLU, as torchvision's blocks do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)
        self.same = self.relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(x + self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))


class Transformer(nn.Module):
    """A vision transformer: patches become tokens, then attention, then one vector per image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.pool = nn.Flatten(0, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = self.norm(tokens + self.attention(tokens, tokens, tokens)[0])
        return self.pool(tokens)


class Block(nn.Module):
    """An area of CORnet-RT."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.input, self.recurrent = nn.Conv2d(inputs, outputs, 3, 2, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.nonlin = nn.ReLU(inplace=True)
        self.output = nn.Identity()

    def forward(self, x: torch.Tensor, state: torch.Tensor | None) -> torch.Tensor:
        x = self.nonlin(self.input(x))
        return self.output(self.nonlin(self.recurrent(x if state is None else x + state)))


class RT(nn.Module):
    """A CORnet-RT that holds an image for `times` steps; each area reads the area below one step late."""

    def __init__(self, times: int = 20) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.times, self.V1, self.IT = times, Block(3, 4), Block(4, 4)
        self.decoder = nn.Linear(4, 2)
        self.unused = nn.Identity()
        self.drop = nn.Dropout(0.5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        size = SIZE // 2
        below, state = torch.zeros(len(image), 4, size, size, dtype=image.dtype), None
        v1 = None
        for _ in range(self.times):
            seen, v1 = below, self.V1(self.drop(image), v1)
            state, below = self.IT(seen, state), v1
        assert state is not None
        return self.decoder(state.mean(dim=(2, 3)))


class ConvLSTM(nn.Module):
    """A cell that is called with a frame and a state."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gates = nn.Conv2d(3 + 4, 16, 3, padding=1)
        self.drop = nn.Dropout(0.5)

    def forward(self, frame: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor] | None):
        frame = self.drop(frame)
        h, c = state or (frame.new_zeros(len(frame), 4, SIZE, SIZE),) * 2
        i, f, o, g = self.gates(torch.cat([frame, h], dim=1)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return {"gates": i, "h": h}, (h, c)

    def named(self, frame, state):
        return self(frame, state)


class Video(nn.Module):
    """A video network that convolves over space and over the last two frames."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.space, self.time = nn.Conv3d(3, 4, (1, 3, 3)), nn.Conv3d(4, 4, (2, 1, 1))
        self.drop = nn.Dropout(0.5)

    def forward(self, frames: torch.Tensor) -> dict[str, torch.Tensor]:
        space = self.space(self.drop(frames).transpose(1, 2))
        time = self.time(F.pad(space, (0, 0, 0, 0, 1, 0)))
        return {"space": space.transpose(1, 2), "time": time.transpose(1, 2)}


class Unfit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.relu, self.unused, self.sum = nn.ReLU(), nn.ReLU(), nn.Flatten(0)
        self.rnn = nn.GRU(SIZE, 2)

        class Named(nn.Module):
            def forward(self, x):
                return {"x": x}

        self.named = Named()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.relu(x))
        self.rnn(x[:, 0])
        return self.sum(self.named(x)["x"])


class Growing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part = nn.ConstantPad2d(1, 0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part(self.part(x))
