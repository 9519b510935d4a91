import pytest
import torch

from dynface_video.faces.landmark_network import LandmarkNetwork


@pytest.mark.parametrize("heatmap", [True, False])
def test_network_shapes(heatmap: bool) -> None:
    network = LandmarkNetwork(heatmap=heatmap).eval()
    points, log_std, logit = network(torch.zeros(3, 3, 64, 64))
    assert points.shape == (3, 5, 2) and log_std.shape == (3, 5) and logit.shape == (3,)
