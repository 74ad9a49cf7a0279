"""Examine a clip: its pictures window by window, then its sound; either may be missing or damaged."""

from __future__ import annotations

import dataclasses

from assay.case import WORKER_LOST, nothing_in_it
from assay.errors import Failed, SampleError, Unsupported
from assay.evidence.panel import Request
from assay.evidence.windows import Gathered
from assay.examination.opened import Opened


def examine_clip(opened: Opened) -> None:
    """Examine the pictures and the sound of a video; one that has only one of them, or one damaged, is no failure."""
    case = opened.case
    missing: SampleError | None = None
    try:
        examine_frames(opened)
    except (Failed, Unsupported) as e:
        if e.code in WORKER_LOST:
            raise
        missing = e
    try:
        heard = examine_sound(opened, optional=True)
    except SampleError as e:
        if missing is not None:
            raise missing from e
        case.leave_out("the sound", e)
        return
    if missing is not None and not heard:
        if missing.code != "no_video":
            raise missing
        raise nothing_in_it()
    if missing is not None and missing.code != "no_video":  # a sound track alone is no damage
        case.leave_out("the pictures", missing)


def examine_frames(opened: Opened) -> None:
    """Examine the pictures of a clip, each frame and each window."""
    case = opened.case
    stream = opened.worker.open("video")
    case.duration_s = float(stream.get("duration_s") or 0.0) or None
    case.size_px = (int(stream["width"]), int(stream["height"]))
    per_frame = tuple(m.name for m in opened.panel.members if m.reads == "Image" and m.frames)
    frames: Gathered = Gathered("frame")
    clips: Gathered = Gathered("window")
    for packed in opened.windows():
        case.note(packed)
        case.tracer.window(packed)
        times = [float(f["time_s"]) for f in packed.view["frames"]]
        request = Request(packed.view, per_frame, packed.arena_fd, packed.used, each=True)
        frames.add(opened.panel.examine(request), [(t, t) for t in times])
        names = opened.readers("VideoClip")
        if names:
            request = dataclasses.replace(request, names=names, each=False)
            clips.add(opened.panel.examine(request), [(times[0], times[-1])])
    case.tracer.close_clip()
    opened.collect(frames.answers, frames.merge)
    opened.collect(clips.answers, clips.merge)


def examine_sound(opened: Opened, *, optional: bool = False) -> bool:
    """Examine the sound track; says if there is one."""
    case = opened.case
    stream = opened.worker.open("audio", stream=0, optional=optional)
    if not stream.get("audio_streams", 1):
        return False
    heard: Gathered = Gathered("window")
    end_s = 0.0
    for packed in opened.windows():
        length = packed.view["samples"]["shape"][1] / packed.view["rate_hz"]
        span = (float(packed.view["start_s"]), float(packed.view["start_s"]) + length)
        end_s = span[1]
        case.tracer.window(packed)
        names = opened.readers("AudioClip")
        if names:
            heard.add(opened.examine(packed, names), [span])
    case.tracer.close_sound()
    case.duration_s = case.duration_s or end_s
    opened.collect(heard.answers, heard.merge)
    return True
