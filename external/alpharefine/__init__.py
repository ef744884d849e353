"""AlphaRefine (Yan et al., CVPR 2021): a box of a tracker becomes a mask. Inference alone, written for this project.

Two networks of the authors, told apart by their weights: SEcmnet (256 px, corners and a mask) and ARnet_seg_mask
(384 px, a mask; used for VOT2020). Importable without the rest of the project.
"""
