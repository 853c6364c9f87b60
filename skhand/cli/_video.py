"""Read and write videos, frame by frame, with OpenCV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from skhand.exceptions import InputError

__all__ = ["VideoReader", "VideoWriter", "import_cv2"]

_FPS = 30.0  # where a file or a camera does not say


def import_cv2() -> Any:
    """Import OpenCV, or say how to install it."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # errors are told once, by us
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            'videos and cameras need OpenCV; install it with: pip install "skhand[video]"'
        ) from error
    return cv2


class VideoReader:
    """The frames of a video file or a camera.

    Parameters
    ----------
    source : Path or int
        The file, or the number of the camera.
    """

    def __init__(self, source: Path | int):
        self._cv2 = import_cv2()
        is_camera = isinstance(source, int)
        self.name = f"camera:{source}" if is_camera else str(source)
        if isinstance(source, Path) and not source.is_file():
            raise InputError(f"{self.name}: there is no such file.")
        self._capture = self._cv2.VideoCapture(source if is_camera else str(source))
        if not self._capture.isOpened():
            what = "no camera that can be opened" if is_camera else "not a readable video"
            raise InputError(f"{self.name}: is {what}.")
        fps = float(self._capture.get(self._cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 1000 else _FPS
        count = float(self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT))
        self.n_frames = int(count) if not is_camera and 0 < count < 1e9 else None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield frames (height, width, 3), uint8 RGB, each decoded when its turn has come."""
        while True:
            there, frame = self._capture.read()
            if not there:
                return
            yield np.ascontiguousarray(frame[..., ::-1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.release()


class VideoWriter:
    """Write frames to an mp4 file, which has the size of the first one.

    Parameters
    ----------
    path : Path
        The file, which is replaced.
    fps : float
        Frames a second.
    """

    def __init__(self, path: Path, fps: float):
        self._cv2, self.path, self.fps = import_cv2(), path, fps
        self._writer: Any = None

    def write(self, frame: np.ndarray) -> None:
        """Add a frame (height, width, 3), uint8 RGB."""
        if self._writer is None:
            code = self._cv2.VideoWriter_fourcc(*"mp4v")
            height, width = frame.shape[:2]
            self._writer = self._cv2.VideoWriter(str(self.path), code, self.fps, (width, height))
            if not self._writer.isOpened():
                raise InputError(f"--out: expected a place for a video, got {self.path}.")
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
