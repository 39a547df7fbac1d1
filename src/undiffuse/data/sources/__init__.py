"""Captioned pictures in the forms that people have them, read as one stream.

    source = open_source("my-pictures/", side=64)
    for item in source:
        item.image, item.captions

The forms: folders, Hugging Face's ImageFolder, saved `datasets`, Parquet, WebDataset shards, zip.
Everything that is read is hostile until checked: sizes are bounded before memory is allocated,
paths stay inside the data set, no code and no pickle is read from it.
"""

from undiffuse.data.sources.fit import fit
from undiffuse.data.sources.item import Item
from undiffuse.data.sources.source import Source, open_source

__all__ = ["Item", "Source", "fit", "open_source"]
