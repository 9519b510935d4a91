"""Network calls as CUDA graphs: the kernels of a call are recorded once for each shape, and then launched as one.

A network of a face is hundreds of kernels of a few microseconds, and launching them takes longer than they run
(docs/gpu-and-ray.md). A recorded call repeats those kernels on whatever its inputs hold. So a network may be recorded
only if it neither waits for the device nor decides anything by values, and its weights must stay where they are.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dynface_video.diffusion.schedule import NoiseSchedule
    from dynface_video.models.protocols import Denoiser

logger = logging.getLogger(__name__)

Outputs = tuple[Tensor, ...]
Network = Callable[..., Outputs]
"""A function of tensors, any of them None, that returns tensors."""

MOST_SHAPES = 8
"""Recorded shapes of a network; each holds the memory of a call."""
AGREEMENT = 0.01
"""By how much a recorded call may differ from a plain one, for outputs in [-1, 1]: a wrong one differs by far more."""
RECORDING = threading.Lock()
"""CUDA records one graph at a time in a process."""


class Graph(Protocol):
    """What launches recorded kernels, such as `torch.cuda.CUDAGraph`."""

    def replay(self) -> None:
        """Launch them, on the current stream."""


@dataclass(frozen=True, eq=False)
class RecordedCall:
    """A call that a graph repeats.

    Attributes:
        graph: Reads `inputs` and writes `outputs`.
        inputs: Tensors of its own.
        outputs: The same.
    """

    graph: Graph
    inputs: tuple[Tensor | None, ...]
    outputs: Outputs

    def __call__(self, *inputs: Tensor | None) -> Outputs:
        """The outputs for inputs of the same shapes, in new tensors."""
        for own, given in zip(self.inputs, inputs, strict=True):
            if own is not None and given is not None:
                own.copy_(given)
        self.graph.replay()
        return tuple(output.clone() for output in self.outputs)


def record(network: Network, inputs: tuple[Tensor | None, ...], device: torch.device) -> RecordedCall:
    """Record a call on a CUDA device; `network` must have been called with such inputs before.

    Raises RuntimeError if it cannot be recorded, for example because something in it waits for the device.
    """
    own = tuple(None if tensor is None else tensor.detach().clone() for tensor in inputs)
    with RECORDING, torch.cuda.device(device):
        before, stream, graph = torch.cuda.current_stream(), torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(before)
        try:
            with torch.cuda.stream(stream):
                network(*own)  # libraries allocate their workspaces at the first call on a stream
            before.wait_stream(stream)
            # Temporal work may use the device in another thread meanwhile, which the default mode forbids.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                outputs = network(*own)
        finally:
            torch.cuda.set_stream(before)  # a recording that fails leaves its own
    return RecordedCall(graph, own, outputs)


class CudaGraphs:
    """The recorded calls of networks.

    The first call of a network with inputs of some shapes is a plain one, the second is also recorded and the recording
    compared with it, and the following ones are repeated. Where recording fails or differs, or a gradient is wanted,
    calls stay plain. Several threads may use one object.

    Args:
        recorder: Records a call, as `record`.
    """

    def __init__(self, recorder: Callable[..., RecordedCall] = record) -> None:
        self._recorder = recorder
        self._known: dict[object, dict[Hashable, RecordedCall | None]] = {}
        self._failed: set[object] = set()
        self._lock = threading.Lock()

    def call(self, owner: object, network: Network, *inputs: Tensor | None) -> Outputs:
        """Call a network.

        Args:
            owner: Of the weights, the same object in every call.
            network: Called in the autocast state of the moment.
            inputs: The first is a batch of faces. If it has another size than in the last call, what was recorded for
                that is dropped.
        """
        faces = inputs[0]
        if faces is None or torch.is_grad_enabled():
            return network(*inputs)
        with self._lock:
            if owner in self._failed:
                return network(*inputs)
            known = self._known.setdefault(owner, {})
            shapes = (_arithmetic(faces.device), *(None if one is None else (one.shape, one.dtype) for one in inputs))
            recorded = known.get(shapes)
            if recorded is not None:
                return recorded(*inputs)
            outputs = network(*inputs)
            if shapes in known:
                known[shapes] = self._recorded(owner, network, inputs, outputs)
            else:
                self._expect(known, shapes, len(faces))
            return outputs

    @staticmethod
    def _expect(known: dict[Hashable, RecordedCall | None], shapes: Hashable, batch: int) -> None:
        """Have the next call of these shapes recorded."""
        if any(one is not None and len(one.outputs[0]) != batch for one in known.values()):
            known.clear()  # a batch is made smaller because memory is short
        if len(known) < MOST_SHAPES:
            known[shapes] = None

    def _recorded(
        self, owner: object, network: Network, inputs: tuple[Tensor | None, ...], expected: Outputs
    ) -> RecordedCall | None:
        assert inputs[0] is not None
        try:
            made = self._recorder(_without_cache(network, inputs[0].device), inputs, inputs[0].device)
            apart = [float((a - b).abs().max()) for a, b in zip(made(*inputs), expected, strict=True)]
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
        else:
            if all(one <= AGREEMENT for one in apart):
                return made
            reason = f"it differs by {max(apart):.3g}"
        logger.info("%s is called without a CUDA graph: %s", type(owner).__name__, reason)
        self._failed.add(owner)
        self._known.pop(owner, None)
        return None


class RecordedDenoiser:
    """A `Denoiser` whose evaluations are recorded.

    Args:
        prior: What is evaluated.
        graphs: Of the pipeline.
    """

    def __init__(self, prior: Denoiser, graphs: CudaGraphs) -> None:
        self._prior, self._graphs = prior, graphs

    @property
    def resolution(self) -> int:
        """See `Denoiser`."""
        return self._prior.resolution

    @property
    def schedule(self) -> NoiseSchedule:
        """See `Denoiser`."""
        return self._prior.schedule

    def predict(self, sample: Tensor, timestep: Tensor, guide: Tensor | None, blur_level: Tensor | None) -> Tensor:
        """See `Denoiser`."""
        return self._graphs.call(self._prior, self._evaluate, sample, timestep, guide, blur_level)[0]

    def _evaluate(self, *inputs: Tensor | None) -> Outputs:
        sample, timestep, guide, level = inputs
        assert sample is not None
        assert timestep is not None
        return (self._prior.predict(sample, timestep, guide, level),)


def _arithmetic(device: torch.device) -> Hashable:
    """What decides, besides the shapes, which kernels are called."""
    kind = device.type
    return device, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)


def _without_cache(network: Network, device: torch.device) -> Network:
    """A network that casts its weights in each call: autocast's copies would be gone when the recording is used."""
    enabled, dtype = torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)

    def call(*inputs: Tensor | None) -> Outputs:
        with torch.autocast(device.type, dtype, enabled=enabled, cache_enabled=False):
            return network(*inputs)

    return call
