"""The sampler, the noise and the engine, with a denoiser that knows the answer."""

import numpy as np
import pytest
import torch

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.diffusion.engine import FaceJob, SamplingEngine, SamplingOptions
from dynface_video.diffusion.guidance import Guide
from dynface_video.diffusion.noise import START, NoiseKey, noise_for
from dynface_video.diffusion.sampler import ddim_step, eta_for, timesteps_for
from dynface_video.diffusion.schedule import NoiseSchedule, add_noise

SIZE = 16


class Shrinker:
    """A denoiser that halves the state: a pure function of each sample, so that company can be seen to matter."""

    resolution = SIZE
    schedule = NoiseSchedule()

    def predict(self, sample, timestep, guide, blur_level):  # type: ignore[no-untyped-def]
        return 0.5 * sample + 0.0001 * timestep[:, None, None, None] + 0.1 * guide


def job(number: int, estimate: torch.Tensor, level: float, start: int) -> FaceJob:
    return FaceJob(number, estimate, (Guide(level / SIZE, start),), start, NoiseKey(7, number))


def jobs(count: int) -> list[FaceJob]:
    generator = torch.Generator().manual_seed(0)
    return [job(i, torch.rand(3, SIZE, SIZE, generator=generator) - 0.5, 0.5 + 0.3 * i, 60 * i) for i in range(count)]


def run(chosen: list[FaceJob], **options: float) -> dict[int, torch.Tensor]:
    engine = SamplingEngine(Shrinker(), SamplingOptions(**options), torch.device("cpu"))  # type: ignore[arg-type]
    return dict(engine.run(chosen))


def test_a_face_begins_with_noise_of_the_temperature() -> None:
    chosen = job(0, torch.zeros(3, SIZE, SIZE), 1.0, 300)
    states = {}
    for temperature in (0.5, 1.0):
        engine = SamplingEngine(Shrinker(), SamplingOptions(temperature=temperature), torch.device("cpu"))
        slot = engine._fill(chosen)
        assert slot is not None
        states[temperature] = slot.sample
    assert states[1.0].std() > 0.3
    torch.testing.assert_close(states[0.5], states[1.0] / 2)


def test_timesteps_fall_from_the_start_and_are_distinct() -> None:
    assert timesteps_for(400, 4) == [400, 179, 46, 2]
    assert timesteps_for(400, 1) == [400]
    assert timesteps_for(4, 10) == [4, 3, 2]
    assert timesteps_for(1, 10) == [1]
    assert timesteps_for(0, 10) == []


def test_timesteps_end_at_the_last_step_that_is_asked_for() -> None:
    assert timesteps_for(400, 3, 60) == [400, 145, 60]
    assert timesteps_for(61, 3, 60) == [61, 60]
    assert timesteps_for(60, 3, 60) == [60]
    assert timesteps_for(12, 3, 60) == [12]


def test_unrolled_faces_are_those_of_the_engine() -> None:
    chosen = jobs(7)  # the first starts at 0, the second at the last step
    options = {"num_inference_steps": 3, "last_step": 60, "reference_step": 100}
    engine = SamplingEngine(Shrinker(), SamplingOptions(**options), torch.device("cpu"))
    unrolled = engine.unroll(chosen)
    for number, face in run(chosen, slots=3, **options).items():
        assert torch.allclose(face, unrolled[number], atol=1e-5)
    assert engine.evaluations == 1 + 5 * 3


class Meeting(Shrinker):
    """Notes the faces of each call."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def predict(self, sample, timestep, guide, blur_level):  # type: ignore[no-untyped-def]
        self.sizes.append(len(sample))
        return super().predict(sample, timestep, guide, blur_level)


def test_slots_stay_full_until_the_last_faces_and_a_plain_loop_takes_longer() -> None:
    # Steps of the embedded table for levels from 0.5 to 6 pixels of 128, even on a logarithmic scale.
    steps = np.interp(np.linspace(np.log(0.5), np.log(6), 64), np.log([0.5, 0.75, 1, 1.5, 2, 3, 6]), [
        95, 171, 238, 332, 438, 537, 648]).round().astype(int).tolist()  # fmt: skip
    order = np.random.default_rng(0).permutation(64).tolist()
    chosen = [job(i, torch.zeros(3, SIZE, SIZE), 1.0, steps[k]) for i, k in enumerate(order)]
    prior, options = Meeting(), SamplingOptions(slots=8)
    engine = SamplingEngine(prior, options, torch.device("cpu"))
    finished = [number for number, _ in engine.run(chosen)]
    assert sorted(finished) == list(range(64))
    drained = prior.sizes.index(next(size for size in prior.sizes if size < 8))
    assert all(size == 8 for size in prior.sizes[:drained]) and engine.calls == len(prior.sizes)
    assert engine.evaluations / (8 * engine.calls) > 0.9
    counts = [min(12, max(2, round(12 * min(1, one.starting_step / 500)))) for one in chosen]
    plain = sum(max(counts[first : first + 8]) for first in range(0, 64, 8))
    assert sum(counts) == engine.evaluations and plain / engine.calls > 1.25


def test_fixed_slots_are_filled_with_copies_that_change_nothing() -> None:
    chosen, prior = jobs(6), Meeting()
    engine = SamplingEngine(prior, SamplingOptions(slots=4, fixed_slots=True), torch.device("cpu"))
    faces = dict(engine.run(chosen))
    assert set(prior.sizes) == {4}
    for number, face in run(chosen, slots=4).items():
        assert torch.equal(face, faces[number])
    assert engine.evaluations < 4 * engine.calls


class Learner(Shrinker):
    """Counts the evaluations that autograd records."""

    def __init__(self) -> None:
        self.gain, self.recorded = torch.ones((), requires_grad=True), 0

    def predict(self, sample, timestep, guide, blur_level):  # type: ignore[no-untyped-def]
        estimate = self.gain * super().predict(sample, timestep, guide, blur_level)
        self.recorded += len(sample) if estimate.requires_grad else 0
        return estimate


@pytest.mark.parametrize("with_gradient", [1, 2])
def test_gradients_reach_the_last_evaluations_only(with_gradient: int) -> None:
    learner = Learner()
    engine = SamplingEngine(learner, SamplingOptions(num_inference_steps=4, reference_step=50), torch.device("cpu"))
    engine.unroll(jobs(3)[1:], with_gradient=with_gradient).sum().backward()
    assert learner.recorded == 2 * with_gradient and engine.evaluations > learner.recorded
    assert learner.gain.grad is not None and learner.gain.grad != 0


def test_ddim_recovers_the_clean_picture_from_a_perfect_estimate() -> None:
    alphas = NoiseSchedule().alphas_cumprod()
    clean, noise = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8)
    state = add_noise(clean, noise, alphas[500])
    zero = torch.zeros(())
    middle = ddim_step(state, clean, alphas[500], alphas[200], zero, noise)
    assert torch.allclose(middle, add_noise(clean, noise, alphas[200]), atol=1e-4)
    assert torch.allclose(ddim_step(middle, clean, alphas[200], torch.ones(()), zero, noise), clean, atol=1e-4)


def test_eta_follows_the_level_at_512() -> None:
    assert eta_for(torch.tensor([1.0, 8.0]) / 128, 1.0).tolist() == pytest.approx([0.4, 1.0])


def test_a_face_does_not_depend_on_its_company() -> None:
    together = run(jobs(7), slots=3, eta_scale=1.0)
    alone = {k: v for one in jobs(7) for k, v in run([one], slots=1, eta_scale=1.0).items()}
    assert together.keys() == alone.keys() == set(range(7))
    for number, face in together.items():
        assert torch.allclose(face, alone[number], atol=1e-5)


def test_step_zero_is_the_estimate() -> None:
    untouched = jobs(1)[0]
    assert torch.equal(run([untouched])[0], untouched.estimate)


def test_evaluations_follow_the_starting_step() -> None:
    counts = []
    for start in (40, 200, 400, 600):
        engine = SamplingEngine(
            Shrinker(), SamplingOptions(num_inference_steps=10, reference_step=400), torch.device("cpu")
        )
        list(engine.run([job(0, torch.zeros(3, SIZE, SIZE), 1.0, start)]))
        counts.append(engine.evaluations)
    assert counts == [2, 5, 10, 10]


def test_the_result_agrees_with_its_guide() -> None:
    third = jobs(4)[3]
    face = run([third], trust=1e-6)[3]
    level = torch.tensor([third.guides[0].level])
    difference = gaussian_blur(face[None], SIZE * level) - gaussian_blur(third.estimate[None], SIZE * level)
    assert difference.abs().max() < 0.02


def test_noise_is_a_function_of_its_key() -> None:
    first = noise_for(NoiseKey(1, 2), 3, 8)
    assert torch.equal(first, noise_for(NoiseKey(1, 2), 3, 8))
    others = [noise_for(NoiseKey(2, 2), 3, 8), noise_for(NoiseKey(1, 3), 3, 8), noise_for(NoiseKey(1, 2), START, 8)]
    assert all(np.corrcoef(first.flatten(), other.flatten())[0, 1] < 0.3 for other in others)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_frames_of_a_face_share_as_much_noise_as_is_asked_for(correlation: float) -> None:
    one, other = (noise_for(NoiseKey(1, 2, frame, correlation), START, 64).flatten() for frame in (0, 1))
    assert np.corrcoef(one, other)[0, 1] == pytest.approx(correlation, abs=0.03)
    assert float(one.std()) == pytest.approx(1, abs=0.03)
    assert torch.equal(one, noise_for(NoiseKey(1, 2, 0, correlation), START, 64).flatten())
