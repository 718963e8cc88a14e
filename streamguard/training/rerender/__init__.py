"""Faces rendered again by small neural networks: what a generator leaves, on any real face.

A face is passed through an autoencoder and put back where it was, its colour and its sharpness in every band of
detail as before. What is left to be learned is the texture of a neural decoder, and nothing that blending leaves:
neither an edge nor another colour nor a loss of sharpness. Pictures that differ from real ones by a reconstruction
alone teach what carries over between generators: Rajan et al., "Aligned Datasets Improve Detection of Latent
Diffusion-Generated Images", ICLR 2025; Chen et al., "DRCT: Diffusion Reconstruction Contrastive Training", ICML 2024.
"""

from streamguard.training.rerender.autoencoder import FaceAutoencoder
from streamguard.training.rerender.fake import Rerenderer
from streamguard.training.rerender.make import make_rerendered
from streamguard.training.rerender.teach import Teacher

__all__ = ["FaceAutoencoder", "Rerenderer", "Teacher", "make_rerendered"]
