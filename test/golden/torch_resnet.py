"""OpenAI's modified ResNet in plain PyTorch, written from its description (CLIP's paper, section 2.4, and the names of its state dict):
the independent reference of CLIP_RN50. Development only; not used by the product."""
import torch
from torch import nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride, shortcut):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        self.stride = stride
        if shortcut:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = F.avg_pool2d(torch.relu(self.bn2(self.conv2(y))), self.stride)
        shortcut = self.downsample(F.avg_pool2d(x, self.stride)) if hasattr(self, "downsample") else x
        return torch.relu(self.bn3(self.conv3(y)) + shortcut)


class AttentionPool(nn.Module):
    """PyTorch's own attention over the mean and all places; only the mean asks."""

    def __init__(self, places, width, heads, out):
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.zeros(places + 1, width))
        self.k_proj, self.q_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, out)

    def forward(self, x):
        x = x.flatten(2).permute(2, 0, 1)
        x = torch.cat([x.mean(0, keepdim=True), x]) + self.positional_embedding[:, None]
        pooled, _ = F.multi_head_attention_forward(
            x[:1], x, x, x.shape[-1], self.heads, None, torch.cat([self.q_proj.bias, self.k_proj.bias, self.v_proj.bias]),
            None, None, False, 0.0, self.c_proj.weight, self.c_proj.bias, use_separate_proj_weight=True,
            q_proj_weight=self.q_proj.weight, k_proj_weight=self.k_proj.weight, v_proj_weight=self.v_proj.weight,
            training=True, need_weights=False)
        return pooled[0]


class ModifiedResNet(nn.Module):
    def __init__(self, image, width, layers, heads, out):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        inputs = width
        for stage, depth in enumerate(layers):
            planes = width * 2**stage
            blocks = []
            for i in range(depth):
                blocks.append(Bottleneck(inputs, planes, 2 if i == 0 and stage > 0 else 1, i == 0))
                inputs = 4 * planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.attnpool = AttentionPool((image // 32) ** 2, 32 * width, heads, out)

    def forward(self, x):
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = torch.relu(bn(conv(x)))
        x = F.avg_pool2d(x, 2)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.attnpool(x)
