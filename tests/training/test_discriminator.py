"""The discriminator and the two losses that share one backward pass."""

import torch
from torch import nn

from training.discriminator import Adversarial, PatchDiscriminator


def test_it_scores_every_eighth_pixel_with_0_4_million_parameters() -> None:
    network = PatchDiscriminator()
    assert network(torch.zeros(2, 3, 64, 48)).shape == (2, 1, 8, 6)
    assert 0.3e6 < sum(p.numel() for p in network.parameters()) < 0.45e6


def test_each_loss_moves_its_own_network() -> None:
    pair = Adversarial(nn.Conv2d(3, 3, 1), PatchDiscriminator((4, 8)))
    real = torch.rand(2, 3, 32, 32)
    for_generator, _ = pair.losses(pair.generator(real), real)
    for_generator.backward()
    assert pair.generator.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in pair.discriminator.parameters())
    pair.zero_grad()
    _, for_discriminator = pair.losses(pair.generator(real), real)
    for_discriminator.backward()
    assert pair.generator.weight.grad is None
    assert all(p.grad is not None for p in pair.discriminator.parameters())


def test_it_learns_to_tell_noise_from_flat_pictures_and_the_generator_follows() -> None:
    torch.manual_seed(0)
    pair = Adversarial(nn.Identity(), PatchDiscriminator((8, 16)))
    optimizer = torch.optim.Adam(pair.parameters(), lr=2e-3, betas=(0.5, 0.99))
    losses = []
    for _ in range(60):
        real, generated = 0.5 * torch.randn(4, 3, 32, 32), torch.zeros(4, 3, 32, 32)
        _, loss = pair.losses(generated, real)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    pair.eval()
    for_flat, _ = pair.losses(generated, real)
    for_real, _ = pair.losses(real, real)
    assert for_real < for_flat
