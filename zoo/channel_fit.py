"""How the channels of an image become the channels a model wants: one rule for the page, the worker and the terminal.

The rule: as many channels as the model wants are taken as they are; an RGB image for a model of one channel becomes
its luminance; one channel for a model of several is repeated when the model says so (`config.zooscope.input.
grey_to_rgb`). Everything else is refused with the choice that would work.

A crop stored for a job holds only the chosen channels, so the worker asks again with `chosen=None`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.errors import UserError

# ITU-R BT.601, the weights of Pillow's mode L.
LUMINANCE = (0.299, 0.587, 0.114)


class ChannelMissing(UserError):
    code = "channel-missing"


class ChannelsUnfit(UserError):
    code = "channels-unfit"


@dataclass(frozen=True)
class ChannelPlan:
    """What to do: `kind` is take, luminance or repeat; `channels` index the image; `text` says it to a person."""

    kind: str
    channels: tuple[int, ...]
    model_channels: int
    text: str


def fit_channels(
    info_rgb: bool, image_channels: int, chosen: Sequence[int] | None, model_channels: int, grey_to_rgb: bool
) -> ChannelPlan:
    """Plan the channels for a model of `model_channels`; `chosen` None means all of the image's.

    Raises ChannelMissing for a channel the image lacks and ChannelsUnfit, with what would work, otherwise.
    """
    if chosen is not None:
        _check_chosen(chosen, image_channels)
    channels = tuple(range(image_channels)) if chosen is None else tuple(chosen)
    if len(channels) == model_channels:
        return ChannelPlan("take", channels, model_channels, "channels fit")
    if model_channels == 1 and chosen is None and info_rgb and image_channels == 3:
        return ChannelPlan("luminance", channels, 1, "colour becomes grey")
    if len(channels) == 1 and grey_to_rgb:
        return ChannelPlan("repeat", channels, model_channels, f"one channel, repeated {model_channels} times")
    raise _unfit(len(channels), image_channels, model_channels, grey_to_rgb)


def apply(plan: ChannelPlan, pixels: np.ndarray) -> np.ndarray:
    """Pixels (y, x, c) of the image to (y, x, model_channels), same dtype."""
    taken = pixels[:, :, list(plan.channels)]
    if plan.kind == "luminance":
        grey = np.tensordot(taken.astype(np.float64), np.asarray(LUMINANCE), axes=([2], [0]))[:, :, None]
        if np.issubdtype(pixels.dtype, np.integer):
            grey = np.rint(grey)
        return grey.astype(pixels.dtype)
    if plan.kind == "repeat":
        return np.repeat(taken, plan.model_channels, axis=2)
    return taken


def _check_chosen(chosen: Sequence[int], image_channels: int) -> None:
    if not chosen:
        raise ChannelMissing("No channel is chosen.", "Choose at least one channel.")
    for channel in chosen:
        if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < image_channels:
            last = image_channels - 1
            raise ChannelMissing(
                f"The image has no channel {channel!r}.", f"Channels are counted from 0: choose from 0 to {last}."
            )


def _unfit(given: int, image_channels: int, model_channels: int, grey_to_rgb: bool) -> ChannelsUnfit:
    wants = "one channel" if model_channels == 1 else f"{model_channels} channels"
    working = []
    if image_channels >= model_channels:
        working.append(wants)
    if grey_to_rgb and model_channels != 1:
        working.append("one channel, which is repeated")
    hint = f"Choose {' or '.join(working)}." if working else "Use an image with that many channels or another model."
    return ChannelsUnfit(f"The model works on {wants} and was given {given}.", hint)
