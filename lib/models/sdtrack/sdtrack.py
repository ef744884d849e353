"""The whole network (Fig. 3), and how a config builds it."""

from torch import Tensor, nn

from lib.models.layers.attention import attention_kernel
from lib.models.sdtrack.backbone import VisionTransformer
from lib.models.sdtrack.decoder import COUPLINGS, Decoder
from lib.models.sdtrack.neck import NeckEncoder
from lib.models.sdtrack.query_selection import QuerySelection


class SDTrack(nn.Module):
    """Backbone on [template; search] -> neck encoder -> query selection -> decoupled decoder.

    The network has no memory: `encode_template` once, `track` a frame; `forward` is the two together.
    """

    def __init__(
        self, *, backbone: VisionTransformer, neck: NeckEncoder, query_selection: QuerySelection, decoder: Decoder
    ):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.query_selection = query_selection
        self.decoder = decoder

    def forward(self, template_images: Tensor, search_images: Tensor, template_boxes: Tensor | None = None) -> dict:
        """template_images (B, 3, Ht, Wt), search_images (B, 3, Hs, Ws), normalised RGB;
        template_boxes (B, 4) xywh, fractions of the template crop. Returns what `track` returns."""
        return self.track(self.encode_template(template_images, template_boxes), search_images)

    def encode_template(self, template_images: Tensor, template_boxes: Tensor | None = None) -> Tensor:
        """The template as far as it goes without a search image: tokens (B, Nt, dim)."""
        return self.backbone.encode_template(template_images, template_boxes)

    def track(self, template_tokens: Tensor, search_images: Tensor) -> dict:
        """Find the template in search_images (B, 3, Hs, Ws).

        Returns pred_logits (B, N), pred_boxes (B, N, 4) cxcywh in fractions of the search crop, aux_outputs (the
        same of each earlier decoder layer) and proposals (the same of the mini-detector, for all its anchors).
        """
        with attention_kernel(search_images.device):
            return self._track(template_tokens, search_images)

    def _track(self, template_tokens: Tensor, search_images: Tensor) -> dict:
        tokens = self.backbone(template_tokens, search_images)
        features = self.neck(tokens, self.backbone.search_grid)
        selected = self.query_selection(features)
        *earlier, last = self.decoder(selected, features)
        proposals = {name: tensor.float() for name, tensor in selected.proposals.items()}
        return {**last, "aux_outputs": earlier, "proposals": proposals}


def build_network(cfg) -> SDTrack:
    """The network that a config describes, with fresh weights."""
    model, encoder, decoder, query = cfg.MODEL, cfg.MODEL.ENCODER, cfg.MODEL.DECODER, cfg.MODEL.QUERY
    trunk = model.BACKBONE
    dim, recompute = model.HIDDEN_DIM, cfg.TRAIN.ACTIVATION_CHECKPOINTING
    return SDTrack(
        backbone=VisionTransformer(
            template_size=cfg.DATA.TEMPLATE.SIZE,
            search_size=cfg.DATA.SEARCH.SIZE,
            patch_size=trunk.PATCH_SIZE,
            dim=trunk.DIM,
            depth=trunk.DEPTH,
            num_heads=trunk.NUM_HEADS,
            mlp_ratio=trunk.MLP_RATIO,
            drop_path=trunk.DROP_PATH,
            stem=trunk.STEM,
            template_embed=trunk.TEMPLATE_EMBED,
            qk_init=trunk.QK_INIT,
            recompute=recompute,
        ),
        neck=NeckEncoder(
            in_dim=trunk.DIM,
            dim=dim,
            layers=encoder.LAYERS,
            num_heads=model.NUM_HEADS,
            ffn_dim=encoder.FFN_DIM,
            dropout=encoder.DROPOUT,
            recompute=recompute,
        ),
        query_selection=QuerySelection(
            dim=dim,
            num_queries=query.NUM,
            num_branches=COUPLINGS[decoder.COUPLING][0],
            anchors_per_cell=query.ANCHORS_PER_CELL,
            anchor_size=1 / cfg.DATA.SEARCH.FACTOR,
            tower_layers=query.TOWER_LAYERS,
            roi_size=query.ROI_SIZE,
            points=query.POINTS,
        ),
        decoder=Decoder(
            dim=dim,
            layers=decoder.LAYERS,
            num_heads=model.NUM_HEADS,
            ffn_dim=decoder.FFN_DIM,
            crop_size=cfg.DATA.SEARCH.SIZE,
            dropout=decoder.DROPOUT,
            coupling=decoder.COUPLING,
            rpb_hidden=decoder.BOX_RPB_HIDDEN if decoder.BOX_RPB else 0,
            rpb_form=decoder.BOX_RPB_FORM,
            recompute=recompute,
        ),
    )
