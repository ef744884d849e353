"""SDTrack's network (Fig. 3), and its construction from a config."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from lib.models.layers.attention import attention_kernel
from lib.models.sdtrack.decoder import COUPLINGS, BranchWeights, Decoder, DecoderLayer
from lib.models.sdtrack.neck import NeckEncoder
from lib.models.sdtrack.query_selection import QuerySelection, SelectionWeights
from lib.models.vit.backbone import VisionTransformer, backbone_options
from lib.models.vit.one_stream import OneStreamNetwork


@dataclass
class NetworkWeights:
    """Stacked weights of query selection and decoder."""

    query_selection: SelectionWeights
    decoder: BranchWeights


class SDTrack(OneStreamNetwork):
    """SDTrack: backbone on [template; search] tokens, neck encoder, query selection, decoupled decoder."""

    def __init__(
        self, *, backbone: VisionTransformer, neck: NeckEncoder, query_selection: QuerySelection, decoder: Decoder
    ):
        super().__init__(backbone)
        self.neck = neck
        self.query_selection = query_selection
        self.decoder = decoder

    @classmethod
    def from_config(cls, cfg: Any) -> SDTrack:
        """Build the network that a config describes, with newly initialised weights."""
        model, encoder, decoder, query = cfg.MODEL, cfg.MODEL.ENCODER, cfg.MODEL.DECODER, cfg.MODEL.QUERY
        trunk = model.BACKBONE
        dim, recompute = model.HIDDEN_DIM, cfg.TRAIN.ACTIVATION_CHECKPOINTING
        backbone = VisionTransformer(**backbone_options(cfg))
        make_layer = partial(
            DecoderLayer,
            dim=dim,
            num_heads=model.NUM_HEADS,
            ffn_dim=decoder.FFN_DIM,
            dropout=decoder.DROPOUT,
            coupling=decoder.COUPLING,
            grid=backbone.search_grid,
            rpb_hidden=decoder.BOX_RPB_HIDDEN if decoder.BOX_RPB else 0,
        )
        return cls(
            backbone=backbone,
            neck=NeckEncoder(
                in_dim=trunk.DIM,
                dim=dim,
                layers=encoder.LAYERS,
                num_heads=model.NUM_HEADS,
                ffn_dim=encoder.FFN_DIM,
                dropout=encoder.DROPOUT,
                grids=(backbone.template_grid, backbone.search_grid) if encoder.POSITIONS else None,
                recompute=recompute,
            ),
            query_selection=QuerySelection(
                dim=dim,
                num_queries=query.NUM,
                grid=backbone.search_grid,
                num_branches=COUPLINGS[decoder.COUPLING].streams,
                anchors_per_cell=query.ANCHORS_PER_CELL,
                anchor_size=1 / cfg.DATA.SEARCH.FACTOR,
                tower_layers=query.TOWER_LAYERS,
                roi_size=query.ROI_SIZE,
                points=query.POINTS,
                prior=model.PRIOR,
            ),
            decoder=Decoder(
                make_layer,
                dim=dim,
                layers=decoder.LAYERS,
                crop_size=cfg.DATA.SEARCH.SIZE,
                prior=model.PRIOR,
                rpb_form=decoder.BOX_RPB_FORM,
                recompute=recompute,
            ),
        )

    def repeated_parts(self) -> list[nn.Module]:
        """Blocks of the backbone, layers of neck encoder and decoder."""
        return [*super().repeated_parts(), *self.neck.layers, *self.decoder.layers]

    def stack(self) -> NetworkWeights:
        """Stack the weights for `track`. A tracking session does this once for all frames."""
        return NetworkWeights(self.query_selection.stack(), self.decoder.stack())

    def track(
        self, template_tokens: Tensor, search_images: Tensor, weights: NetworkWeights | None = None
    ) -> dict[str, Any]:
        """Find the target in search_images (B, 3, Hs, Ws). template_tokens (B, Nt, dim): of encode_template.

        weights: of stack(), None to stack them here. Returns pred_logits (B, N), pred_boxes (B, N, 4) cxcywh in
        fractions of the search crop, aux_outputs (a list with the same two tensors of each earlier decoder layer) and
        proposals (the same two of the mini-detector, for all its anchors).
        """
        weights = weights or self.stack()
        with attention_kernel(search_images.device):
            tokens = self.backbone(template_tokens, search_images)
            features = self.neck(tokens, self.backbone.search_grid)
            selected = self.query_selection(features, weights.query_selection)
            *earlier, last = self.decoder(selected, features, weights.decoder)
        return {**last, "aux_outputs": earlier, "proposals": selected.proposals}
