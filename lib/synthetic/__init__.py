"""A procedural data set: textured shapes that move over textured scenes, with exact boxes, masks and attributes.

Deterministic from its seed, cheap enough to render while a network trains, and there without a download.
"""

from lib.synthetic.sequence import ATTRIBUTES, SyntheticSequence

__all__ = ["ATTRIBUTES", "SyntheticSequence"]
