import pytest
import torch
from facexlib.detection.retinaface import RetinaFace

from dynface_video.errors import ModelError
from dynface_video.faces.detection.retinaface_network import BACKBONES, RetinaFaceNetwork


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_network_is_facexlibs(backbone: str) -> None:
    torch.manual_seed(0)
    theirs = RetinaFace(network_name=backbone, phase="train", device=torch.device("cpu"))
    ours = RetinaFaceNetwork(backbone).eval()
    ours.network.load_state_dict(theirs.state_dict())
    with torch.inference_mode():
        pictures = 50 * torch.randn(2, 3, 70, 96)
        for made, wanted in zip(ours(pictures), theirs(pictures), strict=True):
            assert torch.equal(made, wanted)


def test_unknown_backbone_is_refused() -> None:
    with pytest.raises(ModelError, match="mobile1"):
        RetinaFaceNetwork(backbone="mobile1")
