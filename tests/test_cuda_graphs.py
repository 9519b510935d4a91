"""Which calls are recorded, repeated and left plain; a fake graph, on the CPU, runs the network again."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from dynface_video.cuda_graphs import MOST_SHAPES, CudaGraphs, Outputs, RecordedCall, RecordedDenoiser
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import Stage


class Network:
    """Twice the first input and the sum of all; counts its calls, which a repeated one does not add to."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *inputs: Tensor | None) -> Outputs:
        self.calls += 1
        assert inputs[0] is not None
        return 2 * inputs[0], sum((one for one in inputs if one is not None), torch.zeros_like(inputs[0]))


@dataclasses.dataclass(eq=False)
class FakeGraph:
    """Computes again what was recorded, into the same tensors, plus an error."""

    network: Callable[..., Outputs]
    inputs: tuple[Tensor | None, ...]
    outputs: Outputs
    error: float

    def replay(self) -> None:
        """See `Graph`."""
        for kept, made in zip(self.outputs, self.network(*self.inputs), strict=True):
            kept.copy_(made + self.error)


@dataclasses.dataclass(eq=False)
class Recorder:
    """Counts recordings; calls the network itself outside of `Network.calls`."""

    error: float = 0.0
    refusal: str | None = None
    batches: list[int] = dataclasses.field(default_factory=list)

    def __call__(self, network: Callable[..., Outputs], inputs: Any, device: torch.device) -> RecordedCall:
        self.batches.append(len(inputs[0]))
        if self.refusal:
            raise RuntimeError(self.refusal)
        own = tuple(None if one is None else one.clone() for one in inputs)
        outputs = network(*own)
        return RecordedCall(FakeGraph(network, own, outputs, self.error), own, outputs)


@torch.no_grad()
def call(graphs: CudaGraphs, network: Network, *inputs: Tensor | None) -> Outputs:
    """A call whose outputs are checked."""
    made, expected = graphs.call(network, network, *inputs), Network()(*inputs)
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other)
    return made


def test_the_second_call_of_a_shape_is_recorded_and_later_ones_repeat_it() -> None:
    recorder, network = Recorder(), Network()
    graphs = CudaGraphs(recorder)
    first = [call(graphs, network, torch.rand(2, 3), None, torch.rand(2, 3)) for _ in range(5)]
    assert recorder.batches == [2]
    kept = [one[0].clone() for one in first]
    call(graphs, network, torch.rand(2, 3), None, torch.rand(2, 3))
    assert all(torch.equal(a, b[0]) for a, b in zip(kept, first, strict=True))  # outputs are not written to again


def test_each_shape_and_arithmetic_has_a_recording_of_its_own() -> None:
    recorder, network = Recorder(), Network()
    graphs = CudaGraphs(recorder)
    for width in (3, 4):
        for _ in range(2):
            call(graphs, network, torch.rand(2, width))
            call(graphs, network, torch.rand(2, width), torch.rand(2, width))
    assert len(recorder.batches) == 4
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            call(graphs, network, torch.rand(2, 3))
    assert len(recorder.batches) == 5


def test_no_more_than_some_shapes_are_recorded() -> None:
    recorder, network = Recorder(), Network()
    graphs = CudaGraphs(recorder)
    for width in range(1, MOST_SHAPES + 3):
        for _ in range(3):
            call(graphs, network, torch.rand(2, width))
    assert len(recorder.batches) == MOST_SHAPES


def test_another_batch_size_drops_what_was_recorded() -> None:
    recorder, network = Recorder(), Network()
    graphs = CudaGraphs(recorder)
    for count in (4, 4, 4, 2, 2, 2, 4, 4):
        call(graphs, network, torch.rand(count, 3))
    assert recorder.batches == [4, 2, 4]


@pytest.mark.parametrize(
    ("recorder", "reason"),
    [
        (Recorder(refusal="operation not permitted when stream is capturing"), "not permitted"),
        (Recorder(error=0.5), "it differs by 0.5"),
        (Recorder(error=float("nan")), "it differs by nan"),
    ],
)
def test_a_network_that_cannot_be_recorded_stays_plain_and_that_is_said_once(
    recorder: Recorder, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    network, graphs = Network(), CudaGraphs(recorder)
    for width in (3, 3, 3, 4, 4, 4):
        call(graphs, network, torch.rand(2, width))
    assert len(recorder.batches) == 1
    (message,) = (record.message for record in caplog.records)
    assert message.startswith("Network is called without a CUDA graph: ") and reason in message


def test_calls_with_a_gradient_are_plain() -> None:
    recorder, network = Recorder(), Network()
    graphs = CudaGraphs(recorder)
    sample = torch.rand(2, 3, requires_grad=True)
    for _ in range(3):
        graphs.call(network, network, sample)[0].sum().backward()  # type: ignore[no-untyped-call]
    assert recorder.batches == [] and sample.grad is not None


@pytest.fixture(scope="module")
def stage() -> Stage:
    return FacePipeline.from_pretrained("mini", device="cpu").with_settings(batch_size=2).stages[0]


def test_a_stage_records_its_own_networks_in_fixed_batches_only(stage: Stage) -> None:
    graphs = CudaGraphs(Recorder())
    assert stage.sampler is not None
    assert stage.denoiser() is stage.sampler.prior
    assert dataclasses.replace(stage, graphs=graphs).denoiser() is stage.sampler.prior
    fixed = dataclasses.replace(stage, graphs=graphs, fixed_batches=True)
    assert isinstance(fixed.denoiser(), RecordedDenoiser) and fixed.denoiser().resolution == stage.resolution
    foreign = dataclasses.replace(stage.sampler, prior_source=Foreign())  # type: ignore[arg-type]
    assert isinstance(dataclasses.replace(fixed, sampler=foreign).denoiser(), Foreign)


class Foreign:
    """A prior of somebody else, about which nothing is known."""


def test_a_stage_gives_the_same_faces_by_recorded_calls(stage: Stage) -> None:
    recorder = Recorder()
    plain = dataclasses.replace(stage, fixed_batches=True)
    recorded = dataclasses.replace(plain, graphs=CudaGraphs(recorder))
    crops = torch.rand(5, 3, stage.resolution, stage.resolution, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(recorded.regress(crops).estimate, plain.regress(crops).estimate, rtol=0, atol=1e-5)
    assert recorder.batches == [2]  # three calls: plain, recorded, repeated


def test_graphs_are_for_cuda() -> None:
    pipeline = FacePipeline.from_pretrained("mini", device="cpu").with_cuda_graphs()
    assert all(one.graphs is None for one in pipeline.stages)
