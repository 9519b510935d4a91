"""Film damage - dust, scratches, hairs, tears, stains - is removed from crops before they are restored.

Two things tell damage from a face. It lies on the film, above the picture: a network that sees a single crop finds what
does not belong there, lines that stay for seconds too (`find_damage`). And film is damaged frame by frame: what a frame
shows and the frames before and after it do not, though they agree with one another, is not of the face (Kokaram 1998,
spike detection along the motion). What was found is replaced by what the neighbours show there, where they can be
trusted and are whole themselves, else by the network's guess.

What the network takes for damage is left alone where the neighbours show the same in the same place of the face, but
for lines on a face that keeps still, and where neither they nor the course of a line confirm it. Eyes and mouths move
in one frame more than anything else of a face, so there only what stands out three times as much from the neighbours is
taken for damage.

Crops are (B, 3, R, R) float32 RGB in [0, 1]; K neighbours of each are (B, K, 3, R, R).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.faces.align import template
from dynface_video.faces.colour import LUMINANCE
from dynface_video.models.damage_detector import DamageDetector
from dynface_video.resampling import gaussian_blur, one_by_one, reduce_area, warp
from dynface_video.temporal.light import match_light
from dynface_video.temporal.motion import Motion

SURE, POSSIBLE = 0.85, 0.4
"""Probability that damage has somewhere, and that the pixels connected to it have at least."""
FEWEST_NEIGHBOURS = 3
"""With fewer, one of them that is damaged itself could not be told from the others."""
LEAST_DIFFERENCE = 0.07
"""By how much the luminance of damage differs from the neighbours' at least."""
NOISE_TOLERANCE = 5.0
"""The same in stds of what the crop differs by from its neighbours for noise."""
DISAGREEMENT = 1.5
"""The same in differences between the neighbours."""
GROWTH = 0.5
"""Pixels beside damage that differ by this share of the threshold are damage, too."""
LARGEST_SHARE = 0.15
"""Share of a crop: more than that is a flash or something that passes, not damage."""
MISSED = 2 / 256
"""By how much the flow may miss, in sides of the crop: edges move by so much without being damage."""
SMEAR = 1.5 / 256
"""How far codecs and scaling smear damage, in sides of the crop."""
LEAST_KNOWN = 0.3
"""Share of a connected part that has to be known from neighbours for them to decide whether it is damage."""
REACH, LEAST_OUTSIDE = 0.04, 0.05
"""How far around damage motion is judged, sigma in sides of the crop, and the least share of it that is undamaged."""
CONFIRMED = 1.5
"""How many times as far from the neighbours' picture as the repaired crop the crop has to be."""
STANDS = 0.5
"""How far the crop is at most from what stands in the picture, in distances to the repaired crop."""
SLANT = 3
"""Largest angle between a line and the frame's upright, degrees."""
LINE_BAND = 0.03
"""Width of the band that a line stays in, in sides of the crop."""
LEAST_ROWS = 0.3
"""Share of the crop's rows in which a line has to be seen."""
LEAST_EXTENTS = ((0.2, 0.5), (0.3, 0.65), (math.inf, 0.9))
"""How far from the middle a line may be, in sides of the crop, and the share of the crop's height that it then reaches
over at least: a face has no straight lines of its own from the forehead to the mouth, its surroundings have."""
KEEPS_STILL = 3 / 256
"""Motion of a face in the picture, in sides of the crop, up to which a line of the film looks like one of the face."""
EXPRESSIVE = 3.0
"""Factor of the threshold around eyes and mouth; what a network may be wrong by is less by its square."""
EYE, MOUTH = (0.10, 0.055), (0.17, 0.09)
"""Half axes of the ellipses around an eye and the mouth, in sides of the crop."""


@dataclass(frozen=True, eq=False)
class FoundDamage:
    """What single crops show of damage.

    Attributes:
        crops: As they were, (B, 3, R, R).
        share: How far a pixel is damaged, (B, 1, R, R) in [0, 1], soft at the border of damage and 0 elsewhere.
        repaired: The crops without it as far as one frame tells, (B, 3, R, R); where `share` is 0 they are unchanged.
    """

    crops: Tensor
    share: Tensor
    repaired: Tensor

    def __getitem__(self, index: slice | Tensor) -> FoundDamage:
        """That of crops chosen along the first axis."""
        return FoundDamage(self.crops[index], self.share[index], self.repaired[index])


def join_found(parts: Sequence[FoundDamage]) -> FoundDamage:
    """That of all crops, in their order."""
    crops, share, repaired = zip(*((part.crops, part.share, part.repaired) for part in parts), strict=True)
    return FoundDamage(torch.cat(crops), torch.cat(share), torch.cat(repaired))


def find_damage(detector: DamageDetector | None, crops: Tensor) -> FoundDamage:
    """Find damage in crops (B, 3, R, R), each by itself; without a detector none is found."""
    if detector is None:
        return FoundDamage(crops, torch.zeros_like(crops[:, :1]), crops)

    def found(crop: Tensor) -> tuple[Tensor, ...]:
        probability, replacement = detector.find(crop)
        share = torch.cat([_share_of(one) for one in probability.split(1)])
        return share, crop + share * (replacement - crop)

    return FoundDamage(crops, *one_by_one(found, crops))


def carried_change(crops: Sequence[Tensor], repaired: Tensor) -> tuple[Tensor, ...]:
    """Crops of one face at several resolutions, (3, R, R) each, after the last of them was repaired.

    repaired: the last one, (3, R, R). Crops are the same objects where nothing has changed.
    """
    change = repaired - crops[-1]
    if not change.any():
        return tuple(crops)
    reduced = (reduce_area(change[None], crop.shape[-1])[0] for crop in crops[:-1])
    return (*((crop + less).clamp(0, 1) for crop, less in zip(crops[:-1], reduced, strict=True)), repaired)


def _share_of(probability: Tensor) -> Tensor:
    """Share of damage (1, 1, R, R) given its probability."""
    sure = probability > 1 - (1 - SURE) / _caution(probability.shape[-1], probability.device) ** 2
    if not sure.any():
        return torch.zeros_like(probability)
    return _softened(_grown(sure[0, 0], probability[0, 0] > POSSIBLE), 1)


@dataclass(frozen=True, eq=False)
class NearFrames:
    """The frames before and after B crops, K of each; one without weight in `motions` is absent.

    Attributes:
        found: Of their crops, with leading axes (B, K).
        motions: From each crop, repaired, to them, with leading axes (B, K).
        before: Whether it is a frame before, (B, K) bool.
        still: Where in their crops a thing lies that does not move in the picture, (B, K, 2, 3): an affine map of
            (x, y) in sides of the crop, from its corner.
    """

    found: FoundDamage
    motions: Motion
    before: Tensor
    still: Tensor


def remove_damage(found: FoundDamage, near: NearFrames, lean: Tensor) -> FoundDamage:
    """Remove what single crops show of damage, where it is confirmed, and what only the middle crop shows.

    Args:
        found: Of B crops.
        near: The frames around.
        lean: As of `upright_lines`, (B,).

    Returns:
        The damage that was removed, and the repaired crops; crops without damage are unchanged.
    """

    def repaired(
        crops: Tensor, share: Tensor, alone: Tensor, near_crops: Tensor, near_share: Tensor, near_alone: Tensor,
        flow: Tensor, weight: Tensor, valid: Tensor | None, before: Tensor, still: Tensor, lean: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        own, others = FoundDamage(crops, share, alone), FoundDamage(near_crops, near_share, near_alone)
        around = NearFrames(others, Motion(flow, weight, valid), before, still)
        rows = [_by_neighbours(own[row : row + 1], around, row, float(lean[row])) for row in range(len(crops))]
        return torch.cat([row.share for row in rows]), torch.cat([row.repaired for row in rows])

    motions, others = near.motions, near.found
    tensors = [found.crops, found.share, found.repaired, others.crops, others.share, others.repaired]
    measured = [motions.flow, motions.weight, motions.valid, near.before, near.still, lean]
    return FoundDamage(found.crops, *one_by_one(repaired, *tensors, *measured))


def _by_neighbours(found: FoundDamage, around: NearFrames, row: int, lean: float) -> FoundDamage:
    """The damage of one crop (1, 3, R, R), judged and repaired by the neighbours that it has in this row."""
    present = around.motions.weight[row].flatten(1).any(dim=1).nonzero()[:, 0]
    others = FoundDamage(around.found.crops[row], around.found.share[row], around.found.repaired[row])[present]
    moved, before = around.motions[row][present], around.before[row][present]
    size, count = found.crops.shape[-1], len(present)
    flow = moved.flow_at(size)
    inside = None if moved.valid is None else F.interpolate(moved.valid.float(), size)

    def brought(pictures: Tensor, flow: Tensor) -> Tensor:
        return match_light(warp(pictures, flow), found.repaired.expand(count, -1, -1, -1), inside)

    share, repaired = found.share, found.repaired
    if count == 0:
        nothing = found.crops[:0]
        share = _accepted(found, [], _Standing(nothing, nothing[:, :1]), lean)
        return FoundDamage(found.crops, share, found.crops + share * (repaired - found.crops))
    still_flow = _still_flow(around.still[row][present], size)
    seen, still = brought(others.repaired, flow), brought(others.crops, still_flow)
    if share.any():
        trust = _around(moved.weight_at(size), share) * (1 - warp(others.share, flow, "bilinear")).clamp(0, 1)
        apart = (flow - still_flow).norm(dim=1)
        sides = [
            _Side(*_together(seen[side], trust[side]), apart[side].amax(dim=0))
            for side in (before, ~before)
            if side.any()
        ]
        standing = _Standing(still, warp(others.share, still_flow, "bilinear") * _inside(still_flow))
        share = _accepted(found, sides, standing, lean)
        shown, known = _together(seen, trust)
        repaired = found.crops + share * (repaired + known * (shown - repaired) - found.crops)
    if count >= FEWEST_NEIGHBOURS:
        # Until it is confirmed, what was found in a neighbour is no evidence: either version of it may be true.
        doubted = brought(others.crops, flow) if others.share.any() else seen
        alone = damaged_share(repaired, seen, doubted, still)
        alone = alone if inside is None else alone * inside.amin(dim=0, keepdim=True)
        if alone.any():
            repaired, share = repaired + alone * (_middle(seen) - repaired), torch.maximum(share, alone)
    return FoundDamage(found.crops, share, repaired.clamp(0, 1) if share.any() else found.crops)


def _still_flow(still: Tensor, size: int) -> Tensor:
    """The flow (K, 2, size, size), pixels, of things that do not move in the picture; still: as of `NearFrames`."""
    line = (torch.arange(size, device=still.device, dtype=torch.float32) + 0.5) / size
    y, x = torch.meshgrid(line, line, indexing="ij")
    place = torch.stack([x, y])
    there = torch.einsum("kij,jhw->kihw", still[:, :, :2].float(), place) + still[:, :, 2, None, None].float()
    return (there - place) * size


def _inside(flow: Tensor) -> Tensor:
    """Where a flow (K, 2, R, R), pixels, ends inside the crop, (K, 1, R, R) bool."""
    size = flow.shape[-1]
    line = torch.arange(size, device=flow.device, dtype=torch.float32)
    there = flow + torch.stack(torch.meshgrid(line, line, indexing="xy"))
    return ((there >= 0) & (there <= size - 1)).all(dim=1, keepdim=True)


def _around(weight: Tensor, share: Tensor) -> Tensor:
    """Weights (K, 1, R, R) with those under damage (1, 1, R, R) taken from around it: there they judge the damage."""
    sigma = REACH * weight.shape[-1]
    outside = gaussian_blur(1 - share, sigma)
    near = gaussian_blur(weight * (1 - share), sigma) / outside.clamp(min=1e-3)
    return weight + share * (near - weight) * (outside > LEAST_OUTSIDE)


def _together(seen: Tensor, trust: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of K neighbours (K, 3, R, R) by their trust (K, 1, R, R), and how far it is to be trusted."""
    mean = (trust * seen).sum(dim=0, keepdim=True) / trust.sum(dim=0, keepdim=True).clamp(min=1e-3)
    return mean, 1 - (1 - trust).prod(dim=0, keepdim=True)


@dataclass(frozen=True, eq=False)
class _Standing:
    """K neighbours of a crop as they show what does not move in the picture.

    Attributes:
        crops: (K, 3, R, R).
        share: Of damage that was found in them, (K, 1, R, R).
    """

    crops: Tensor
    share: Tensor


@dataclass(frozen=True, eq=False)
class _Side:
    """What the neighbours before or those after a crop show of its face.

    Attributes:
        shown: (1, 3, R, R).
        known: How far that is to be trusted, (1, 1, R, R).
        moved: How far the face has moved in the picture at most, (R, R), pixels.
    """

    shown: Tensor
    known: Tensor
    moved: Tensor


def _accepted(found: FoundDamage, sides: Sequence[_Side], standing: _Standing, lean: float) -> Tensor:
    """The share of damage (1, 1, R, R) less that for which nothing speaks but the network.

    A connected part is damage if the frames before and those after show something else there, nearer to the repaired
    crop than to the crop: what comes into view or goes is in one of them. What a neighbour shows in the same place of
    the picture stands there. Lines along the film may stay where they are, and each frame may show the network another
    part of them: they are damage unless the face, though it moves in the picture, shows the same in other frames.

    Args:
        found: In one crop.
        sides: The neighbours before and those after it.
        standing: The neighbours.
        lean: As of `upright_lines`.
    """
    share = found.share
    damaged = (share[0, 0] > 0).cpu().numpy()
    count, labels = cv2.connectedComponents(damaged.astype(np.uint8), connectivity=8)

    def total(values: Tensor) -> np.ndarray:
        return np.bincount(labels.ravel(), values.cpu().numpy().ravel(), count)

    whole = total(share[0, 0])
    confirmed, denied = np.full(count, len(sides) > 0), np.zeros(count, bool)
    for side in sides:
        weights = (side.known * share)[0, 0]
        off, left = (
            total(weights * (picture - side.shown).abs().mean(dim=1)[0]) for picture in (found.crops, found.repaired)
        )
        judged = total(weights) > LEAST_KNOWN * whole
        moves = total(share[0, 0] * side.moved) > KEEPS_STILL * share.shape[-1] * whole
        confirmed &= judged & (off > CONFIRMED * left)
        denied |= judged & (off < left) & moves
    own, background = _luminance(found.crops), _luminance(standing.crops)
    changed = total((share * (own - _luminance(found.repaired)).abs())[0, 0])
    for beyond in _beyond(own, background, background).clamp(min=0):
        confirmed &= total((share * beyond)[0, 0]) > STANDS * changed
    somewhere = damaged | (standing.share > 0.5).any(dim=0)[0].cpu().numpy()
    accepted = confirmed[labels] | upright_lines(somewhere & ~(damaged & denied[labels]), lean)
    return share * torch.from_numpy((accepted & damaged).astype(np.float32)).to(share.device)


def lean_of(upright: np.ndarray) -> float:
    """Columns by which the frame's upright, (x, y) in a crop, moves aside for a row of it, at most one either way."""
    x, y = (float(part) for part in upright)
    return float(np.clip(x / y, -1, 1)) if abs(y) > abs(x) else float(np.sign(x * y) or 1.0)


def upright_lines(found: np.ndarray, lean: float) -> np.ndarray:
    """What of a mask (R, R) belongs to lines along the film, whole or in pieces, (R, R) bool.

    They run from top to bottom of the frame; a line that does not cross the face has to do so altogether.

    Args:
        found: The mask.
        lean: Columns by which the frame's upright moves aside for a row of the crop.
    """
    size = len(found)
    rows, columns = np.nonzero(found)
    lines = np.zeros_like(found)
    if len(np.unique(rows)) < LEAST_ROWS * size:
        return lines
    width = LINE_BAND * size
    for tilt in lean + np.tan(np.radians(np.arange(-SLANT, SLANT + 1))):
        place = ((columns - tilt * (rows - size / 2)) / width * 2).astype(int)
        for first in np.unique(place):
            band = (place == first) | (place == first + 1)
            if band.sum() < LEAST_ROWS * size:
                continue
            seen, aside = np.unique(rows[band]), abs((first + 1) * width / 2 / size - 0.5)
            least = next(extent for reach, extent in LEAST_EXTENTS if aside < reach)
            if len(seen) > LEAST_ROWS * size and seen[-1] - seen[0] > least * size:
                lines[rows[band], columns[band]] = True
    return lines


def damaged_share(crop: Tensor, seen: Tensor, doubted: Tensor, still: Tensor) -> Tensor:
    """How far each pixel is damaged.

    Args:
        crop: (1, 3, R, R).
        seen: Its neighbours warped onto it, in its light, (K, 3, R, R) with K of at least `FEWEST_NEIGHBOURS`.
        doubted: Another version of each of them, of the same shape.
        still: The neighbours as they show what does not move in the picture, of the same shape.

    Returns:
        (1, 1, R, R) in [0, 1], soft at the border of damage.
    """
    size, count = crop.shape[-1], len(seen)
    own, shown, other = _luminance(crop), _luminance(seen), _luminance(doubted)
    low, high = (extreme.sort(dim=0).values for extreme in (torch.minimum(shown, other), torch.maximum(shown, other)))
    # One neighbour may be damaged here itself: the others have to agree, on either side of what is left out. Of three,
    # what is left out may be all that there is of one side.
    least = count - 1 if count > FEWEST_NEIGHBOURS else count
    ranges = torch.stack([high[first + least - 1] - low[first] for first in range(count - least + 1)])
    spread, first = ranges.min(dim=0, keepdim=True)
    bottom, top = low.gather(0, first), high.gather(0, first + least - 1)
    outside = torch.maximum(own - top, bottom - own).clamp(min=0)
    beyond = _beyond(own, bottom, top)
    noise = 1.4826 * (own - 0.5 * (bottom + top)).abs().median()
    limit = (torch.clamp(NOISE_TOLERANCE * noise, min=LEAST_DIFFERENCE) + DISAGREEMENT * spread) * _caution(
        size, crop.device
    )
    # What one neighbour shows in the same place of the picture stands there; the face before it moves.
    background = _luminance(still)
    apart = _beyond(own, background, background)
    sure, possible = torch.minimum(beyond, apart) > limit, outside > GROWTH * limit
    if not sure.any():
        return torch.zeros_like(own)
    damaged = _grown(sure[0, 0], possible[0, 0])
    if float(damaged.mean()) > LARGEST_SHARE:
        return torch.zeros_like(own)
    return _softened(damaged, max(1, round(SMEAR * size)))


def _softened(damaged: Tensor, further: int) -> Tensor:
    """Damage (R, R) and what lies `further` pixels around it, (1, 1, R, R), soft at its border."""
    wide = _largest(damaged[None, None], 2 * further + 1)
    return F.avg_pool2d(F.pad(wide, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def _beyond(own: Tensor, bottom: Tensor, top: Tensor) -> Tensor:
    """How far a luminance lies outside the range of others around it, at most `MISSED` away; negative inside."""
    near = 2 * max(1, round(MISSED * own.shape[-1])) + 1
    return torch.maximum(own - _largest(top, near), -_largest(-bottom, near) - own)


def _largest(values: Tensor, side: int) -> Tensor:
    return F.max_pool2d(values, side, stride=1, padding=side // 2)


def _grown(sure: Tensor, possible: Tensor) -> Tensor:
    """The connected parts of `possible` that hold something sure, (R, R) float32."""
    _, labels = cv2.connectedComponents(possible.cpu().numpy().astype(np.uint8), connectivity=8)
    kept = np.unique(labels[sure.cpu().numpy()])
    return torch.from_numpy(np.isin(labels, kept[kept > 0]).astype(np.float32)).to(sure.device)


def _middle(seen: Tensor) -> Tensor:
    """The median of neighbours (K, 3, R, R), of an even number the mean of the middle two: (1, 3, R, R)."""
    ordered, count = seen.sort(dim=0).values, len(seen)
    return ordered[(count - 1) // 2 : count // 2 + 1].mean(dim=0, keepdim=True)


def _luminance(pictures: Tensor) -> Tensor:
    red, green, blue = pictures.split(1, dim=1)
    return float(LUMINANCE[0]) * red + float(LUMINANCE[1]) * green + float(LUMINANCE[2]) * blue


@lru_cache(maxsize=8)
def _caution(size: int, device: torch.device) -> Tensor:
    """Factor of the threshold, (1, 1, size, size): `EXPRESSIVE` around eyes and mouth, else 1."""
    points = template(size)
    y, x = np.mgrid[:size, :size]
    factor = np.ones((size, size), np.float32)
    for middle, (wide, high) in ((points[0], EYE), (points[1], EYE), (points[3:].mean(axis=0), MOUTH)):
        near = ((x - middle[0]) / (wide * size)) ** 2 + ((y - middle[1]) / (high * size)) ** 2
        factor = np.maximum(factor, 1 + (EXPRESSIVE - 1) * np.clip(2 - near, 0, 1).astype(np.float32))
    return torch.from_numpy(factor)[None, None].to(device)
