"""Faces of one stage, drawn as they come: one engine, whose slots are refilled from one call to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dynface_video.diffusion.engine import FaceJob, GuidedStep, SamplingEngine
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.faces.colour import LUMINANCE

if TYPE_CHECKING:
    from dynface_video.stage import Stage


class FaceSampler:
    """Draws what RM's estimates lack, in the order in which they are given.

    A free slot takes the next waiting face, whichever call added it, so slots stay busy across calls.
    `add` and `take` may be called in different threads.

    Args:
        stage: With a sampler; its prior is loaded when the first face is taken.
        on_step: As of `Stage.sample`; faces are numbered as they were added, from 0.
    """

    def __init__(self, stage: Stage, on_step: Callable[[GuidedStep], None] | None = None) -> None:
        self._stage, self._on_step = stage, on_step
        self._waiting: deque[FaceJob] = deque()
        self._soft: dict[int, Tensor] = {}
        self._done: dict[int, Tensor] = {}
        self._added = 0
        self._engine: SamplingEngine | None = None
        self._faces: Iterator[tuple[int, Tensor]] = iter(())

    @property
    def evaluations(self) -> int:
        """Network evaluations of the prior so far."""
        return 0 if self._engine is None else self._engine.evaluations

    def add(
        self,
        estimates: Tensor,
        levels: np.ndarray,
        starting_steps: np.ndarray,
        noise_keys: Sequence[NoiseKey],
        strengths: np.ndarray | None = None,
    ) -> range:
        """Have faces drawn; arguments as of `Stage.sample`.

        Returns:
            Their numbers, for `take`.
        """
        first = self._added
        for row, estimate in enumerate(2 * estimates - 1):
            strength = None if strengths is None else float(strengths[row])
            level = float(self._stage.effective_blur_levels(levels[row], strength))
            step = int(starting_steps[row])
            self._soft[self._added] = estimate
            self._waiting.append(FaceJob(self._added, estimate, self._stage.guides(level, step), step, noise_keys[row]))
            self._added += 1
        return range(first, self._added)

    @torch.no_grad()
    def take(self, numbers: Iterable[int]) -> list[Tensor]:
        """Faces, (3, R, R) in [0, 1], each of which is taken once.

        Args:
            numbers: Of faces that were added.

        Raises:
            KeyError: One was not, or was taken before.
        """
        faces = []
        for number in numbers:
            while number in self._soft:
                self._draw()
            faces.append(self._done.pop(number))
        return faces

    def _draw(self) -> None:
        """Go on until a face is finished."""
        with self._stage.autocast():
            found = next(self._faces, None)
            if found is None:
                # The engine ends when its slots and the queue are empty, and begins anew with what came later.
                self._engine = self._engine or self._new_engine()
                self._faces = self._engine.run(_Queue(self._waiting))
                found = next(self._faces)
        number, face = found
        soft = self._soft.pop(number)
        if self._stage.config.luminance_detail_only:
            face = with_chroma_of(face, soft)
        self._done[number] = (face.clamp(-1, 1) + 1) / 2

    def _new_engine(self) -> SamplingEngine:
        stage = self._stage
        assert stage.sampler is not None
        return SamplingEngine(
            stage.denoiser(),
            stage.sampling_options(),
            stage.device,
            guidance_map=stage.guidance_map(),
            on_step=self._on_step,
        )


class _Queue:
    """Iterates over the waiting jobs; it may be exhausted now and yield more later."""

    def __init__(self, waiting: deque[FaceJob]) -> None:
        self._waiting = waiting

    def __iter__(self) -> _Queue:
        return self

    def __next__(self) -> FaceJob:
        if not self._waiting:
            raise StopIteration
        return self._waiting.popleft()


def with_chroma_of(face: Tensor, estimate: Tensor) -> Tensor:
    """The sampled face's luminance with RM's colour differences; (3, R, R) RGB each.

    Film and codecs carry hardly any detail in the colour: what a prior draws there is coloured noise. (On held-out
    faces it costs 0.4 dB PSNR and adds no visible detail.)
    """
    weights = torch.from_numpy(LUMINANCE).to(face.device)[:, None, None]
    return estimate + ((face - estimate) * weights).sum(dim=0)
