"""The denoisers of a model: one that draws in many steps with guidance, one distilled to few."""

from functools import cached_property
from pathlib import Path

from undiffuse.errors import UserError
from undiffuse.runtime.networks import DenoiserRuntime
from undiffuse.runtime.session import FAST, weight_file


class Denoisers:
    """The denoisers in a folder, each read when it is first used."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder, self.threads = folder, threads
        self._trained_with: dict[str, str] = {}
        self.has_fast = weight_file(folder, FAST).exists()

    @cached_property
    def full(self) -> DenoiserRuntime:
        """The one of denoiser.safetensors. UserError as for `require`."""
        return self._checked(DenoiserRuntime(self.folder, self.threads))

    @cached_property
    def fast(self) -> DenoiserRuntime | None:
        """The one of denoiser-fast.safetensors, or None. UserError as for `require`, and if it
        takes no few steps.
        """
        if not self.has_fast:
            return None
        network = DenoiserRuntime(self.folder, self.threads, FAST)
        if not network.few_steps:
            raise UserError(f"{weight_file(self.folder, FAST)} draws in many steps: give what "
                            "`undiffuse train few-steps` wrote")  # fmt: skip
        return self._checked(network)

    @property
    def default(self) -> DenoiserRuntime:
        """The one that draws unless an option asks for the other."""
        return self.fast or self.full

    def require(self, clip: str, encoder: str) -> None:
        """From now on, UserError for a denoiser that was trained with another CLIP or codec than
        those with these hashes.
        """
        self._trained_with = {"clip": clip, "codec": encoder}
        self._checked(self.default)

    def _checked(self, network: DenoiserRuntime) -> DenoiserRuntime:
        for kind, found in self._trained_with.items():
            wanted = network.trained_with[kind]
            if wanted != found:
                raise UserError(
                    f"the denoiser in {self.folder} was trained with {kind} {wanted}, but the "
                    f"{kind} there is {found}: use the one it was trained with"
                )
        return network
