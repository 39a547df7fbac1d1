"""Loads pretrained CLIP models from folders in the Hugging Face and open_clip layouts."""
