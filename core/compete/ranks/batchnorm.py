"""BatchNorm over the batch of all ranks (synchronised BatchNorm), for any network and device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from compete.ranks.group import Ranks

BATCHNORM = nn.modules.batchnorm._BatchNorm
Optional = torch.Tensor | None


def shared_statistics(ranks: Ranks, active: bool, repeats: int = 1) -> AbstractContextManager[object]:
    """Return a context in which BatchNorm in training mode normalises by the batch of all ranks, if `active`.

    `repeats` is how many ranks have each row.

    Modules stay as they are, timm's with an activation too, so copies of the network (EMA, SWA) exchange nothing.
    """
    return _SharedBatchNorm(ranks, repeats) if active and ranks.count > 1 else nullcontext()


def has_batchnorm(network: nn.Module) -> bool:
    """Return whether a network normalises by the batch."""
    return any(isinstance(module, BATCHNORM) for module in network.modules())


def batch_statistics(network: nn.Module) -> list[torch.Tensor]:
    """Return the running statistics that a training step of the network moves."""
    norms = [m for m in network.modules() if isinstance(m, BATCHNORM) and m.training]
    return [t for norm in norms for t in (norm.running_mean, norm.running_var) if t is not None]


class _SharedBatchNorm(TorchFunctionMode):
    """Replaces `torch.nn.functional.batch_norm`, which every BatchNorm calls."""

    def __init__(self, ranks: Ranks, repeats: int) -> None:
        super().__init__()
        self.ranks, self.repeats = ranks, repeats

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what any function of torch returns
        if func is F.batch_norm:
            return _batch_norm(self.ranks, self.repeats, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _batch_norm(
    ranks: Ranks,
    repeats: int,
    input: torch.Tensor,
    running_mean: Optional,
    running_var: Optional,
    weight: Optional = None,
    bias: Optional = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    normalised: torch.Tensor
    normalised, mean, squares, count = _Normalise.apply(input, ranks, eps)
    if running_mean is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
    if running_var is not None:
        unbiased = squares / repeats / (count / repeats - 1)
        running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    shape = (1, -1, *[1] * (input.ndim - 2))
    if weight is not None:
        normalised = normalised * weight.view(shape)
    if bias is not None:
        normalised = normalised + bias.view(shape)
    return normalised.to(input.dtype)


class _Normalise(torch.autograd.Function):
    """Subtract the mean over all ranks and divide by their standard deviation, channel by channel.

    Not torch's SyncBatchNorm: it refuses the CPU, and its forward pass makes the host wait for the GPU in every layer
    (https://github.com/pytorch/pytorch/issues/78549). Ioffe and Szegedy 2015; the variances are joined by Chan et al.
    1979, which is exact where a difference of means of squares is not.
    """

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, ranks: Ranks, eps: float) -> tuple[torch.Tensor, ...]:  # noqa: ANN401
        """Return the normalised input, float32, and over all ranks mean (C,), squared deviations (C,), count ()."""
        values, channels = images.float(), images.shape[1]
        own_count = values.new_full((1,), values.numel() // channels)
        own_mean = values.mean(_but_channels(values))
        own_squares = (values - _wide(own_mean, values)).square().sum(_but_channels(values))
        own = torch.cat([own_mean, own_squares, own_count])
        each = [torch.empty_like(own) for _ in range(ranks.count)]
        dist.all_gather(each, own)
        means, squares, counts = torch.split(torch.stack(each), [channels, channels, 1], dim=1)  # (R, 2C + 1)
        count = counts.sum()
        mean = (means * counts).sum(0) / count
        total = (squares + counts * (means - mean).square()).sum(0)
        scale = (total / count + eps).rsqrt()
        ctx.save_for_backward(images, mean, scale, count)
        ctx.mark_non_differentiable(mean, total, count)
        return (values - _wide(mean, values)) * _wide(scale, values), mean, total, count

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, *_: object) -> tuple[Optional, ...]:  # noqa: ANN401 - torch's
        """Return the gradient of the input; its two means run over all ranks."""
        images, mean, scale, count = ctx.saved_tensors
        values = (images.float() - _wide(mean, images)) * _wide(scale, images)
        gradient = gradient.float()
        sums = torch.stack([gradient.sum(_but_channels(values)), (gradient * values).sum(_but_channels(values))])
        dist.all_reduce(sums)
        ones, slopes = sums / count  # 2 x (C,)
        back = (gradient - _wide(ones, values) - values * _wide(slopes, values)) * _wide(scale, values)
        return back.to(images.dtype), None, None


def _but_channels(values: torch.Tensor) -> list[int]:
    return [0, *range(2, values.ndim)]


def _wide(channels: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return channels.view(1, -1, *[1] * (like.ndim - 2))  # (C,) -> (1, C, 1, 1)
