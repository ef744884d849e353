"""AlphaRefine (Yan et al., CVPR 2021): predicts a mask from a tracker's box. Inference only, written for this project.

Two networks of the authors are supported: SEcmnet (256 px, corners and a mask) and ARnet_seg_mask (384 px, a mask; used
for VOT2020). The keys of a weights file determine the network. The package does not import the rest of the project.
"""
