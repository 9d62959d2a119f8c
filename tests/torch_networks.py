"""Build DeLF-pytorch (nashory) and DELG (feymanpriv) in PyTorch, with random weights.

Written from the structure of their code: the names of modules are theirs.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional


def conv(cin: int, cout: int, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """Bottleneck block of torchvision (v1.5)."""

    def __init__(self, cin: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(cin, inner), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = conv(inner, inner, 3, stride), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = conv(inner, 4 * inner), nn.BatchNorm2d(4 * inner)
        self.downsample = None
        if cin != 4 * inner or stride > 1:
            both = conv(cin, 4 * inner, 1, stride), nn.BatchNorm2d(4 * inner)
            self.downsample = nn.Sequential(*both)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class Transform(nn.Module):
    """Layers of a block of DELG."""

    def __init__(self, cin: int, inner: int, stride: int) -> None:
        super().__init__()
        self.a, self.a_bn = conv(cin, inner), nn.BatchNorm2d(inner)
        self.b, self.b_bn = conv(inner, inner, 3, stride), nn.BatchNorm2d(inner)
        self.c, self.c_bn = conv(inner, 4 * inner), nn.BatchNorm2d(4 * inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.a_bn(self.a(x)))
        return self.c_bn(self.c(torch.relu(self.b_bn(self.b(x)))))


class Block(nn.Module):
    """Block of DELG."""

    def __init__(self, cin: int, inner: int, stride: int) -> None:
        super().__init__()
        self.projects = cin != 4 * inner or stride > 1
        if self.projects:
            self.proj, self.bn = conv(cin, 4 * inner, 1, stride), nn.BatchNorm2d(4 * inner)
        self.f = Transform(cin, inner, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu((self.bn(self.proj(x)) if self.projects else x) + self.f(x))


def stage(block: type, width: int, number: int, count: int) -> list[nn.Module]:
    inner = width * 2**number
    first = block(width if number == 0 else 2 * inner, inner, 1 if number == 0 else 2)
    return [first, *(block(4 * inner, inner, 1) for _ in range(count - 1))]


class Nashory(nn.Module):
    """DeLF-pytorch: descriptors are conv4, and the head has no batch norm."""

    def __init__(self, width: int, blocks: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        layers = [nn.Sequential(*stage(Bottleneck, width, n, blocks[n])) for n in range(3)]
        stem = conv(3, width, 7, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.base = nn.Sequential(*stem, *layers)
        self.attn = nn.Module()
        self.attn.conv1, self.attn.conv2 = (
            nn.Conv2d(16 * width, hidden, 1),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, photo: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = (torch.tensor(photo).float() / 255 - mean) / std
        maps = self.base(x.permute(2, 0, 1)[None])
        hidden = torch.relu(self.attn.conv1(maps))
        return maps, functional.softplus(self.attn.conv2(hidden))

    def saved(self) -> dict[str, object]:
        parts = {name: getattr(self, name).state_dict() for name in ("base", "attn")}
        return parts | {"pool": {}, "logits": {"0.weight": torch.zeros(5, 3, 1, 1)}}


class Feymanpriv(nn.Module):
    """DELG of PyTorch: photos are BGR, and descriptors are the attention times the hidden layer."""

    def __init__(self, width: int, blocks: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.globalmodel, self.localmodel = nn.Module(), nn.Module()
        stem = self.globalmodel.stem = nn.Module()
        stem.conv, stem.bn = conv(3, width, 7, 2), nn.BatchNorm2d(width)
        for number in range(4):
            module = nn.Module()
            for row, block in enumerate(stage(Block, width, number, blocks[number]), start=1):
                setattr(module, f"b{row}", block)
            setattr(self.globalmodel, f"s{number + 1}", module)
        self.localmodel.conv1 = nn.Conv2d(16 * width, hidden, 1)
        self.localmodel.bn, self.localmodel.conv2 = nn.BatchNorm2d(hidden), nn.Conv2d(hidden, 1, 1)

    def forward(self, photo: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        mean, std = torch.tensor([0.406, 0.456, 0.485]), torch.tensor([0.225, 0.224, 0.229])
        x = (torch.tensor(photo[..., ::-1].copy()).float() / 255 - mean) / std
        network, head = self.globalmodel, self.localmodel
        x = torch.relu(network.stem.bn(network.stem.conv(x.permute(2, 0, 1)[None])))
        x = functional.max_pool2d(x, 3, 2, 1)
        for part in (network.s1, network.s2, network.s3):
            for block in part.children():
                x = block(x)
        hidden = head.bn(head.conv1(x))
        scores = functional.softplus(head.conv2(torch.relu(hidden)))
        return scores * functional.normalize(hidden, dim=1), scores

    def saved(self) -> dict[str, object]:
        return {"epoch": 100, "model_state": self.state_dict(), "optimizer_state": {"lr": 0.1}}


def randomize(network: nn.Module) -> nn.Module:
    """Draw all weights and the statistics of batch norms."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if values.ndim == 4:
                scale = (2 / values[0].numel()) ** 0.5
                values.normal_(0, scale, generator=generator)
            elif name.endswith("running_var"):
                values.uniform_(0.5, 2, generator=generator)
            elif name.endswith("weight"):
                values.uniform_(0.3, 1.2, generator=generator)
            else:
                values.normal_(0, 0.3, generator=generator)
    return network.eval()
