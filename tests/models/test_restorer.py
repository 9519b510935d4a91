"""Restorers of other projects: values, sizes, noise and precision as their networks want them, and clear refusals."""

import inspect
import re
import sys
from ast import literal_eval
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import plain_swinir
from dynface_video.errors import InputError, ModelError
from dynface_video.faces.align import template
from dynface_video.models.restorer import ForeignRestorer, RestorerKind, load_restorer

pytest.importorskip("spandrel", reason="the extra [models] is not installed")


class Recorder(nn.Module):
    """Notes what it is called with; gives `change` of its input, in a tuple as the face networks do."""

    def __init__(self, change: Any = lambda x: x, as_tuple: bool = True) -> None:
        super().__init__()
        self.change, self.as_tuple = change, as_tuple
        self.seen: list[Tensor] = []
        self.options: dict[str, Any] = {}

    def forward(self, x: Tensor, **options: Any) -> Any:
        self.seen.append(x)
        self.options = options
        return (self.change(x), None) if self.as_tuple else self.change(x)


def restorer(architecture: str, network: nn.Module, *, scale: int = 1, fidelity: float = 0.5) -> ForeignRestorer:
    return ForeignRestorer(network, RestorerKind(architecture, scale, bfloat16=True, float16=False), fidelity)


def ramp(size: int = 64) -> Tensor:
    return torch.linspace(-1, 1, size).expand(2, 3, size, size).contiguous()


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("GFPGAN", {"return_rgb": False, "randomize_noise": False}),
        ("RestoreFormer", {}),
        ("CodeFormer", {"weight": 0.7}),
    ],
)
def test_face_networks_get_the_range_that_they_were_trained_on(architecture: str, options: dict[str, Any]) -> None:
    network = Recorder(lambda x: x * 0.5)
    made = restorer(architecture, network, fidelity=0.7).regress(ramp())
    assert network.seen[0].min() == -1 and network.seen[0].max() == 1 and network.options == options
    assert torch.equal(made.estimate, ramp() * 0.5) and torch.equal(made.evidence, ramp())


def test_other_networks_get_pictures_in_zero_to_one() -> None:
    network = Recorder(lambda x: x * 0.5, as_tuple=False)
    made = restorer("NAFNet", network).regress(ramp())
    assert network.seen[0].min() == 0 and network.seen[0].max() == 1
    assert torch.allclose(made.estimate, ramp() / 2 - 0.5)


def test_networks_that_enlarge_get_a_smaller_crop() -> None:
    network = Recorder(lambda x: nn.functional.interpolate(x, scale_factor=2, mode="bilinear"), as_tuple=False)
    made = restorer("ESRGAN", network, scale=2).regress(ramp())
    assert network.seen[0].shape == (2, 3, 32, 32) and made.estimate.shape == (2, 3, 64, 64)
    assert (made.estimate - ramp()).abs()[..., 4:-4].max() < 0.02


def test_channels_stay_in_their_order() -> None:
    crops = torch.stack([torch.full((8, 8), value) for value in (-0.5, 0.0, 0.5)])[None]
    assert torch.equal(restorer("RestoreFormer", Recorder()).regress(crops).estimate, crops)


def test_a_network_without_the_precision_runs_in_float32_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1))
    kind = RestorerKind("SCUNet", 1, bfloat16=False, float16=False)
    foreign = ForeignRestorer(network, kind)
    plain = foreign.regress(ramp()).estimate
    with torch.autocast("cpu", torch.bfloat16):
        first, second = foreign.regress(ramp()).estimate, foreign.regress(ramp()).estimate
    assert torch.equal(first, plain) and torch.equal(second, plain)
    assert caplog.messages == ["SCUNet does not run in torch.bfloat16; it runs in float32"]
    with torch.autocast("cpu", torch.bfloat16):
        assert restorer("NAFNet", network).regress(ramp()).estimate.dtype == torch.bfloat16


def test_the_template_is_that_of_the_face_networks() -> None:
    from facexlib.utils.face_restoration_helper import FaceRestoreHelper

    source = " ".join(inspect.getsource(FaceRestoreHelper.__init__).split())
    listed = re.findall(r"self\.face_template = np\.array\((\[\[.*?\]\])\)", source)
    points = [np.array(literal_eval(text)) for text in listed]
    assert [p.shape for p in points] == [(3, 2), (5, 2)]
    assert np.allclose(points[1], template(512))


def save(state: dict[str, Tensor], path: Path, wrap: str = "") -> Path:
    torch.save({wrap: state} if wrap else state, path)
    return path


def test_difface_s_swinir_is_read_and_computes_what_the_paper_says(tmp_path: Path) -> None:
    # The true shapes on a small picture: two windows, so that shifted ones have masks.
    state = plain_swinir.random_state()
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    loaded = load_restorer(save(parallel, tmp_path / "swinir.pth", "state_dict"))
    assert (loaded.kind.architecture, loaded.kind.scale, loaded.resolution) == ("SwinIR", 1, 512)
    pictures = torch.rand(1, 3, 64, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        made = loaded.double().network.model(pictures)  # type: ignore[union-attr, operator]
        wanted = plain_swinir.plain_forward(state, pictures)
        state["layers.7.residual_group.blocks.5.attn.relative_position_bias_table"][100] += 1
        other = plain_swinir.plain_forward(state, pictures)
    assert (made - wanted).abs().max() < 1e-8
    assert (other - wanted).abs().max() > 1e-6


def test_small_networks_of_other_kinds_are_read_and_run(tmp_path: Path) -> None:
    from spandrel.architectures.Compact import Compact
    from spandrel.architectures.NAFNet import NAFNet

    torch.manual_seed(0)
    nafnet = NAFNet(width=8, enc_blk_nums=[1, 1], middle_blk_num=1, dec_blk_nums=[1, 1])
    compact = Compact(num_feat=8, num_conv=2, upscale=2)
    for network, name, scale in ((nafnet, "NAFNet", 1), (compact, "Compact", 2)):
        loaded = load_restorer(save(network.state_dict(), tmp_path / f"{name}.pth", "params_ema"))
        assert (loaded.kind.architecture, loaded.kind.scale) == (name, scale)
        made = loaded.regress(ramp(512)[:1]).estimate
        assert made.shape == (1, 3, 512, 512) and made.abs().max() <= 1
        # Tensors of inference mode could not be part of the gradient's guidance.
        assert not made.is_inference()


def test_what_cannot_be_a_restorer_is_refused(tmp_path: Path) -> None:
    from spandrel.architectures.NAFNet import NAFNet

    with pytest.raises(ModelError, match=r"odd\.pth: spandrel does not know this network"):
        load_restorer(save({"a.weight": torch.ones(2)}, tmp_path / "odd.pth"))
    with pytest.raises(InputError, match="no such file"):
        load_restorer(tmp_path / "none.pth")
    grey = NAFNet(img_channel=1, width=8, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1])
    with pytest.raises(ModelError, match="from 1 to 1 channels"):
        load_restorer(save(grey.state_dict(), tmp_path / "grey.pth"))
    colour = NAFNet(width=8, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1])
    with pytest.raises(InputError, match="NAFNet has no fidelity weight; only CodeFormer has one"):
        load_restorer(save(colour.state_dict(), tmp_path / "colour.pth"), fidelity=0.5)
    broken = {**colour.state_dict(), "intro.weight": torch.zeros(8, 3, 5, 5)}
    with pytest.raises(ModelError, match=r"broken\.pth: .*intro\.weight"):
        load_restorer(save(broken, tmp_path / "broken.pth"))


def test_without_spandrel_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ModelError, match=r"pip install 'dynface-video\[models\]'"):
        load_restorer(save({"a": torch.ones(1)}, tmp_path / "x.pth"))
