"""A procedural data set: textured shapes that move over textured scenes, with exact boxes, masks and attributes.

It is deterministic given its seed, fast enough to render during training, and needs no download.
"""

from lib.synthetic.sequence import ATTRIBUTES, SyntheticSequence

__all__ = ["ATTRIBUTES", "SyntheticSequence"]
