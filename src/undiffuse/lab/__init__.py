"""The lab: the lesson's claims as experiments, each confirmed or refuted by what is measured."""
