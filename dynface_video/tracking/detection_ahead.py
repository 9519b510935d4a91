"""Detection in threads of its own: while the faces of some frames are followed, the next pictures are searched already.

It is a guess which pictures those will be. A detection that nobody asks for has only cost time.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from dynface_video.faces.detection.detector import Detection, FaceDetector

THREADS = 2
THREAD_NAME = "detection"


class DetectionAhead:
    """A `FaceDetector` whose work can be begun before its result is asked for; see `expect`.

    Leaving the `with` block waits for the detections under way. Errors are those of the detector, raised by `detect`.

    Args:
        detector: Finds the faces, in `THREADS` threads at once.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._threads = ThreadPoolExecutor(THREADS, THREAD_NAME)
        self._begun: list[tuple[np.ndarray, Future[list[Detection]]]] = []

    def __enter__(self) -> DetectionAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._begun.clear()

    def expect(self, pictures: Sequence[np.ndarray]) -> None:
        """Begin with pictures, (H, W, 3) uint8 RGB, that were not begun yet; others that were begun are given up."""
        known, self._begun = self._begun, []
        for picture in pictures:
            found = next((work for other, work in known if other is picture), None)
            self._begun.append((picture, found or self._threads.submit(self._detector.detect, picture)))
        for _, work in known:
            if all(work is not other for _, other in self._begun):
                work.cancel()

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The faces of a picture (H, W, 3) uint8 RGB, no face twice."""
        for number, (other, work) in enumerate(self._begun):
            if other is picture:
                del self._begun[number]
                return work.result()
        return self._threads.submit(self._detector.detect, picture).result()
