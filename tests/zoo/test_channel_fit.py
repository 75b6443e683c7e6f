from __future__ import annotations

import numpy as np
import pytest

from zoo.channel_fit import ChannelMissing, ChannelsUnfit, apply, fit_channels

COLOUR = np.stack([np.full((2, 3), value, dtype=np.uint8) for value in (200, 100, 50)], axis=2)


def test_as_many_channels_as_the_model_wants_are_taken_in_the_chosen_order() -> None:
    plan = fit_channels(True, 3, [2, 0, 1], 3, False)
    assert plan.kind == "take"
    assert apply(plan, COLOUR)[0, 0].tolist() == [50, 200, 100]


def test_rgb_for_a_grey_model_is_its_luminance_in_the_same_dtype() -> None:
    grey = apply(fit_channels(True, 3, None, 1, False), COLOUR)
    assert grey.shape == (2, 3, 1)
    assert grey.dtype == np.uint8
    assert grey[0, 0, 0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


def test_a_chosen_channel_of_rgb_is_not_mixed_with_the_others() -> None:
    assert apply(fit_channels(True, 3, [1], 1, False), COLOUR)[0, 0].tolist() == [100]


def test_one_channel_is_repeated_only_for_a_model_that_says_so() -> None:
    assert apply(fit_channels(False, 1, None, 3, True), COLOUR[:, :, :1])[0, 0].tolist() == [200, 200, 200]
    with pytest.raises(ChannelsUnfit) as refused:
        fit_channels(False, 1, None, 3, False)
    assert "another model" in refused.value.hint


def test_a_refusal_says_which_choice_would_work() -> None:
    with pytest.raises(ChannelsUnfit, match="3 channels and was given 5") as refused:
        fit_channels(False, 5, None, 3, True)
    assert refused.value.hint == "Choose 3 channels or one channel, which is repeated."
    with pytest.raises(ChannelsUnfit) as refused:
        fit_channels(False, 3, None, 1, False)
    assert refused.value.hint == "Choose one channel."


@pytest.mark.parametrize("chosen", [[], [3], [-1], [True], [0.0]])
def test_a_channel_the_image_lacks_is_refused(chosen: list) -> None:
    with pytest.raises(ChannelMissing):
        fit_channels(True, 3, chosen, 1, False)
