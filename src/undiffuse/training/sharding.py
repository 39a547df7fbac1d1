"""Tensors that FSDP has divided among processes: the whole, and this process's part."""

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from undiffuse.training.distributed import count


def is_sharded(tensor: Tensor) -> bool:
    """Whether FSDP has divided the tensor among the processes."""
    return count() > 1 and isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """A tensor that FSDP has sharded, put together; every process calls this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """This process's shard of a tensor, without a copy."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor, divided among the processes as `other` is."""
    if not isinstance(other, DTensor):
        return tensor
    tensor = tensor.to(other.device)
    return distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)
