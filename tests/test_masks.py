"""Masks as VOT's text has them."""

import numpy as np
import pytest
from doubles import encode_mask
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from vot.region.io import create_mask_from_string

from lib.test.vot.masks import box_of_mask, full_size, mask_of_box, parse_region

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def round_trip(mask):
    box, (x, y, crop) = parse_region(encode_mask(mask), "made")
    assert box == box_of_mask(mask)
    np.testing.assert_array_equal(full_size(crop, (x, y), mask.shape), mask > 0)


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 1))))
def test_any_mask_survives_the_text_and_reads_as_the_toolkit_reads_it(mask):
    round_trip(mask)
    if mask.any():
        crop, offset = create_mask_from_string(encode_mask(mask).removeprefix("m").split(","))
        np.testing.assert_array_equal(full_size(crop, offset, mask.shape), mask)


@pytest.mark.parametrize(
    "rows", ["empty", "full", "top", "bottom", "left", "right", "pixel", "corner"]
)  # fmt: skip
def test_masks_at_every_border(rows):
    mask = np.zeros((7, 11), np.uint8)
    part = {
        "empty": np.s_[0:0], "full": np.s_[:], "top": np.s_[0, 3:5], "bottom": np.s_[-1, 3:5], "left": np.s_[2:4, 0],
        "right": np.s_[2:4, -1], "pixel": np.s_[3, 4], "corner": np.s_[-1, -1],
    }[rows]  # fmt: skip
    mask[part] = 1
    round_trip(mask)


def test_a_box_becomes_a_mask_cut_at_the_frame():
    mask = mask_of_box([-2.4, 1.6, 5.0, 2.2], (6, 8))
    assert box_of_mask(mask) == [0, 2, 3, 2]
    assert mask_of_box([3, 3, 0.1, 0.1], (6, 8)).sum() == 1, "never nothing inside the frame"
    assert not mask_of_box([30, 30, 4, 4], (6, 8)).any()
