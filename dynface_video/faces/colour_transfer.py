"""Colour of restored faces, in tensors: light and skin tone follow the source, colour noise does not, grey stays grey.

Pictures are (B, 3, R, R) float32 RGB in [0, 1]. What is coarse is measured on small grids, so that the cost grows with
the number of pixels only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dynface_video.faces.colour import LUMINANCE
from dynface_video.resampling import box_blur, enlarge, gaussian_blur, one_by_one, reduce_area

SHIFT_SIZE, CHROMA_SIZE = 64, 128
"""Sides of the grids that light and skin tone, and the noise of chroma, are measured on."""
LIGHT_SCALE, SKIN_TONE_SCALE = 0.1, 0.2
"""Std, in sides of the crop, from which on luminance and chroma are the source's."""
NOISE_BAND = (0.008, 0.03)
"""Stds, in sides of the crop, of the Gaussians between which lies the chroma noise of codecs and tape."""
NOISE_WEIGHT = 2.0
"""Chroma detail weaker than so many times the noise is dropped; chosen, as the radius, on training faces."""
GUIDE_RADIUS, DETAIL_SCALE = 0.03, 0.02
"""In sides of the crop: of the windows in which chroma follows luminance, and in which its detail is measured."""
GUIDE_REGULARISATION = 2e-4
SMALLEST_WEIGHT = 1e-3
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class ColourMatch:
    """How the colours of restored faces follow their sources'.

    Attributes:
        shift: (B, 3, G, G) float32, source minus restored face at the coarse scales that the source decides.
        chroma_noise: (B, 1) float32, std of the source's chroma noise.
        tint: (B, 2, 2) float32, slope and offset of the two colour differences of a source over its luminance.
        grey: (B,) bool on the CPU, whether the source has no colour; its tint then colours every brightness.
    """

    shift: Tensor
    chroma_noise: Tensor
    tint: Tensor
    grey: Tensor

    def __getitem__(self, index: slice) -> ColourMatch:
        """Some of the faces."""
        return ColourMatch(self.shift[index], self.chroma_noise[index], self.tint[index], self.grey[index])


def match_colour(restored: Tensor, crop: Tensor, grey: Sequence[bool], validity: Tensor | None = None) -> ColourMatch:
    """Measure how restored faces have to change to have their sources' colour.

    The source knows what light fell where and the tone of the skin. Its chroma is finer than that too, but there codecs
    and tape leave blotches, so at finer scales the restored face's counts; where the two differ is the noise.

    Args:
        restored: (B, 3, R, R).
        crop: Their sources, of the same shape.
        grey: Of each, whether the source has no colour.
        validity: (B, 1, R, R) in [0, 1]; pixels outside of the picture (0) do not count.
    """
    shift, noise, tint = one_by_one(_measure, restored, crop, validity)
    return ColourMatch(shift, noise, tint, torch.tensor(list(grey), dtype=torch.bool))


def _measure(restored: Tensor, crop: Tensor, validity: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    luminance, chroma = split_chroma(crop - restored)
    size, fine_size = (min(crop.shape[-1], side) for side in (SHIFT_SIZE, CHROMA_SIZE))
    inside = _inside(validity, size, crop)
    light = _blur_inside(reduce_area(luminance, size), inside, LIGHT_SCALE * size)
    tone = _blur_inside(reduce_area(chroma, size), inside, SKIN_TONE_SCALE * size)
    fine_inside, chroma = _inside(validity, fine_size, crop), reduce_area(chroma, fine_size)
    fine, coarse = (_blur_inside(chroma, fine_inside, std * fine_size) for std in NOISE_BAND)
    noise = _mean_inside((fine - coarse).square(), fine_inside).mean(dim=1, keepdim=True).sqrt()
    return join_chroma(light, tone), noise[:, :, 0, 0], _measure_tint(reduce_area(crop, size), inside)


def mean_colour_match(matches: Sequence[ColourMatch]) -> ColourMatch:
    """The mean of the matches of neighbouring frames: what a single one owes to noise would let the border pulse."""

    def mean(name: str) -> Tensor:
        return torch.stack([getattr(match, name) for match in matches]).mean(dim=0)

    return ColourMatch(mean("shift"), mean("chroma_noise"), mean("tint"), matches[0].grey)


def join_colour_matches(matches: Sequence[ColourMatch]) -> ColourMatch:
    """The matches of several batches as one batch."""
    names = ("shift", "chroma_noise", "tint", "grey")
    return ColourMatch(*(torch.cat([getattr(match, name) for match in matches]) for name in names))


def apply_colour(restored: Tensor, match: ColourMatch) -> Tensor:
    """The restored faces, (B, 3, R, R), in the colours of their sources, without the sources' chroma noise."""
    (coloured,) = one_by_one(_coloured, restored, match.shift, match.chroma_noise, match.tint, match.grey)
    return coloured


def _coloured(restored: Tensor, shift: Tensor, noise: Tensor, tint: Tensor, grey: Tensor) -> tuple[Tensor]:
    luminance, chroma = split_chroma(restored + enlarge(shift, restored.shape[-1]))
    slope, offset = tint[..., None, None].unbind(1)
    if bool(grey.all()):
        chroma = luminance * slope + offset
    else:
        chroma = denoise_chroma(chroma, luminance, noise)
        if bool(grey.any()):
            chosen = grey.to(chroma.device)[:, None, None, None]
            chroma = torch.where(chosen, luminance * slope + offset, chroma)
    return (join_chroma(luminance, chroma).clamp(0, 1),)


def denoise_chroma(chroma: Tensor, luminance: Tensor, noise: Tensor) -> Tensor:
    """Keep of chroma what follows from luminance and what exceeds the noise.

    It is a guided filter (He et al. 2010) whose lines are fitted on a small grid (He and Sun 2015), and Wiener's filter
    on what that leaves.

    Args:
        chroma: (B, 2, R, R).
        luminance: (B, 1, R, R), sharp where chroma is to have its edges.
        noise: (B, 1), std of the noise.
    """
    size = min(chroma.shape[-1], CHROMA_SIZE)
    slope, offset = _guided_lines(reduce_area(chroma, size), reduce_area(luminance, size))
    guided = enlarge(slope, chroma.shape[-1]) * luminance + enlarge(offset, chroma.shape[-1])
    detail = chroma - guided
    energy = reduce_area(detail.square().mean(dim=1, keepdim=True), size)
    energy = gaussian_blur(energy, DETAIL_SCALE * size, border="reflect")
    allowed = (NOISE_WEIGHT * noise).square()[..., None, None]
    gain = (energy - allowed).clamp(min=0) / energy.clamp(min=TINY)
    return guided + enlarge(gain, chroma.shape[-1]) * detail


def _guided_lines(picture: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and offset, (B, C, S, S) each, of the local straight lines of a picture over its guide (B, 1, S, S)."""
    radius = max(1, round(GUIDE_RADIUS * guide.shape[-1]))
    means = box_blur(torch.cat([guide, guide.square(), picture, guide * picture], dim=1), radius)
    guide_mean, square_mean, picture_mean, product_mean = means.split([1, 1, picture.shape[1], picture.shape[1]], dim=1)
    variance = (square_mean - guide_mean.square()).clamp(min=0)
    slope = (product_mean - guide_mean * picture_mean) / (variance + GUIDE_REGULARISATION)
    offset = picture_mean - slope * guide_mean
    smooth_slope, smooth_offset = box_blur(torch.cat([slope, offset], dim=1), radius).chunk(2, dim=1)
    return smooth_slope, smooth_offset


def split_chroma(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance (B, 1, H, W) and chroma: the differences of red and blue from it, (B, 2, H, W)."""
    red, green, blue = picture.split(1, dim=1)
    luminance = float(LUMINANCE[0]) * red + float(LUMINANCE[1]) * green + float(LUMINANCE[2]) * blue
    return luminance, torch.cat([red - luminance, blue - luminance], dim=1)


def join_chroma(luminance: Tensor, chroma: Tensor) -> Tensor:
    """Inverse of `split_chroma`."""
    red, blue = luminance + chroma[:, :1], luminance + chroma[:, 1:]
    green = (luminance - float(LUMINANCE[0]) * red - float(LUMINANCE[2]) * blue) / float(LUMINANCE[1])
    return torch.cat([red, green, blue], dim=1)


def _inside(validity: Tensor | None, size: int, crop: Tensor) -> Tensor:
    """Weights of a grid's points, (B, 1, size, size); all 1 for a crop without any point in the picture."""
    if validity is None:
        return crop.new_ones(len(crop), 1, size, size)
    weight = reduce_area(validity.float(), size)
    return torch.where(weight.amax(dim=(2, 3), keepdim=True) > 0, weight, 1.0)


def _mean_inside(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted means over a grid, (B, C, 1, 1)."""
    return (values * weight).sum(dim=(2, 3), keepdim=True) / weight.sum(dim=(2, 3), keepdim=True)


def _blur_inside(values: Tensor, weight: Tensor, std: float) -> Tensor:
    """Gaussian means of the points that count, extended to those that do not."""
    # The overall mean stands in with next to no weight, so that far from every valid point nothing is divided by 0.
    blurred = gaussian_blur(torch.cat([values * weight, weight], dim=1), std, border="reflect")
    total, count = blurred[:, :-1], blurred[:, -1:]
    return (total + SMALLEST_WEIGHT * _mean_inside(values, weight)) / (count + SMALLEST_WEIGHT)


def _measure_tint(picture: Tensor, weight: Tensor) -> Tensor:
    """Slope and offset of the straight lines of chroma over luminance, (B, 2, 2): [:, 0] slopes, [:, 1] offsets."""
    luminance, chroma = split_chroma(picture)
    middle, mean = _mean_inside(luminance, weight), _mean_inside(chroma, weight)
    covariance = _mean_inside((luminance - middle) * (chroma - mean), weight)
    variance = _mean_inside((luminance - middle).square(), weight)
    slope = covariance / variance.clamp(min=TINY)
    return torch.stack([slope, mean - slope * middle], dim=1)[..., 0, 0]
