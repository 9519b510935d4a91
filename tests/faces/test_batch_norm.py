import torch
from torch import nn

from dynface_video.faces.batch_norm import fuse_batch_norm


def test_fused_network_answers_the_same() -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1, bias=False),
        nn.BatchNorm2d(4),
    )
    network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), inner)
    for _ in range(3):
        network(torch.randn(4, 3, 12, 12) * 2 + 1)  # running statistics other than zero and one
    picture = torch.randn(2, 3, 12, 12)
    before = network.eval()(picture)
    fused = fuse_batch_norm(network)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    assert torch.allclose(fused(picture), before, atol=1e-5)
