"""The guidance maps: their range, what they are told, and what the sampler does with them."""

import pytest
import torch

from dynface_video.diffusion.engine import FaceJob, GuidedStep, SamplingEngine, SamplingOptions
from dynface_video.diffusion.guidance import Guide
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.models.adjuster import GuidanceAdjuster, sobel_guidance_map
from dynface_video.models.protocols import GuidanceMap

SIZE = 32


class Grey:
    """A denoiser that sees no face at all."""

    resolution = SIZE
    schedule = NoiseSchedule()

    def predict(self, sample, timestep, guide, blur_level):  # type: ignore[no-untyped-def]
        return torch.zeros_like(sample)


def picture(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) - 0.5


def steps_with(guidance_map: GuidanceMap | None, guides: tuple[Guide, ...], **options: float) -> list[GuidedStep]:
    seen: list[GuidedStep] = []
    engine = SamplingEngine(
        Grey(),
        SamplingOptions(**options),  # type: ignore[arg-type]
        torch.device("cpu"),
        guidance_map=guidance_map,
        on_step=seen.append,
    )
    list(engine.run([FaceJob(0, picture(0)[0], guides, 300, NoiseKey(0, 0))]))
    return seen


def test_an_untrained_map_is_one_half_and_a_trained_one_depends_on_all_it_is_told() -> None:
    model = GuidanceAdjuster(unshuffle=4, width=8)
    arguments = [picture(0), picture(1), torch.tensor([0.9]), torch.tensor([1.0]) / 128]
    assert torch.allclose(model(*arguments), torch.full((1, 1, SIZE, SIZE), 0.5))
    torch.nn.init.normal_(model.layers[-1].weight, generator=torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    first = model(*arguments)
    assert first.shape == (1, 1, SIZE, SIZE) and first.min() >= 0 and first.max() <= 1
    others = [picture(2), picture(3), torch.tensor([0.1]), torch.tensor([4.0]) / 128]
    for k, other in enumerate(others):
        changed = model(*arguments[:k], other, *arguments[k + 1 :])
        assert not torch.allclose(changed, first, atol=1e-4)


def test_texture_gets_less_guidance_than_flat_skin() -> None:
    image = torch.zeros(1, 3, SIZE, SIZE)
    image[..., 16:] = torch.randn(16, generator=torch.Generator().manual_seed(0))
    scale = sobel_guidance_map(image, image, torch.ones(1), torch.ones(1))
    assert scale[..., 24:].mean() < scale[..., :8].mean() - 0.2
    assert scale.min() >= 0 and scale.max() <= 1


def test_the_map_scales_the_correction_place_by_place() -> None:
    def right_half(guide, denoised, alphas_cumprod, blur_level):  # type: ignore[no-untyped-def]
        scale = torch.zeros_like(guide[:, :1])
        scale[..., SIZE // 2 :] = 1
        return scale

    engine = SamplingEngine(
        Grey(), SamplingOptions(num_inference_steps=1), torch.device("cpu"), guidance_map=right_half
    )
    ((_, face),) = engine.run([FaceJob(0, picture(0)[0], (Guide(0.5 / SIZE, 2),), 2, NoiseKey(0, 0))])
    full = SamplingEngine(Grey(), SamplingOptions(num_inference_steps=1), torch.device("cpu"))
    ((_, guided),) = full.run([FaceJob(0, picture(0)[0], (Guide(0.5 / SIZE, 2),), 2, NoiseKey(0, 0))])
    assert face[..., : SIZE // 2].abs().max() == 0
    assert torch.equal(face[..., SIZE // 2 :], guided[..., SIZE // 2 :]) and guided.abs().max() > 0


def test_a_guide_is_silent_before_its_own_step() -> None:
    sharp_late = steps_with(None, (Guide(3.0 / SIZE, 300), Guide(0.5 / SIZE, 100)))
    blurred_only = steps_with(None, (Guide(3.0 / SIZE, 300),))
    assert len(sharp_late) == len(blurred_only) > 4
    for both, one in zip(sharp_late, blurred_only, strict=True):
        same = torch.allclose(both.target, one.target, atol=1e-5)
        assert same == (int(both.timestep) > 100)


def test_a_global_scale_multiplies_the_map() -> None:
    (first, *_) = steps_with(
        lambda g, x, a, s: torch.full_like(g[:, :1], 0.5), (Guide(2.0 / SIZE, 300),), guidance_scale=0.5
    )
    assert first.map.unique().tolist() == pytest.approx([0.25])
