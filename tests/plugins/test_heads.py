"""Heads: the backbone's own, one that joins columns, and cosines."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from compete_plugins.heads import cosine, linear, multi_sample_dropout


class Body(nn.Module):
    """A backbone: the mean of each channel, and a layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3, width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images.mean(dim=(2, 3)))


IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
COLUMNS = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))


def test_without_columns_the_linear_head_is_the_backbone_s_own():
    network = linear(Body, 0, 7)
    assert type(network) is Body and network(IMAGES).shape == (4, 7)


def test_columns_change_the_logits_as_images_do():
    torch.manual_seed(0)
    network = linear(Body, 5, 7, width=16, columns_width=8)
    logits = network(IMAGES, COLUMNS)
    assert logits.shape == (4, 7)
    assert not torch.allclose(logits, network(IMAGES, COLUMNS + 1))
    assert not torch.allclose(logits, network(IMAGES + 1, COLUMNS))


def test_cosines_stay_within_the_scale_and_ignore_the_embedding_s_length():
    torch.manual_seed(0)
    network = cosine(Body, 0, 7, width=16, scale=20.0).eval()
    logits = network(IMAGES)
    assert logits.shape == (4, 7) and logits.abs().max() <= 20
    embedding = network.norm(network.features(IMAGES))
    centre = network.centres[2]
    torch.testing.assert_close(logits[:, 2], 20 * torch.cosine_similarity(embedding, centre[None]))


def test_cosines_take_columns_too():
    torch.manual_seed(0)
    network = cosine(Body, 5, 7, width=16, columns_width=4).eval()
    assert not torch.allclose(network(IMAGES, COLUMNS), network(IMAGES, COLUMNS + 1))


def test_a_batch_of_one_is_normalised_by_the_running_statistics():
    head = cosine(Body, 0, 7, width=6).train()
    head.norm.running_mean.fill_(0.5)
    alone = head(IMAGES[:1])
    assert torch.isfinite(alone).all()
    torch.testing.assert_close(alone, head.eval()(IMAGES[:1]))


def test_multi_sample_dropout_is_the_mean_of_its_samples():
    torch.manual_seed(0)
    network = multi_sample_dropout(Body, 5, 7, samples=3, dropout=0.5, width=16, columns_width=4)
    features = torch.relu(network.features(IMAGES, COLUMNS))
    torch.manual_seed(1)
    logits = network(IMAGES, COLUMNS)
    torch.manual_seed(1)
    samples = [F.linear(F.dropout(features, 0.5), network.last.weight, network.last.bias) for _ in range(3)]
    torch.testing.assert_close(logits, (samples[0] + samples[1] + samples[2]) / 3)


def test_multi_sample_dropout_predicts_without_dropping():
    network = multi_sample_dropout(Body, 0, 7, dropout=0.9).eval()
    torch.testing.assert_close(network(IMAGES), network.last(torch.relu(network.features(IMAGES))))
    few, many = (multi_sample_dropout(Body, 0, 7, samples=n) for n in (1, 32))
    many.load_state_dict(few.state_dict())
    spread = [torch.stack([net(IMAGES) for _ in range(50)]).std(dim=0).mean() for net in (few, many)]
    assert spread[1] < spread[0] / 3  # 1 / sqrt(32) of the noise
