from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from lvm_core.models.base import GAUSSIAN_IQR, Normaliser
from tests.test_models_families import model_of, unit


def fitted(vectors, **how):
    normaliser = Normaliser(vectors.shape[1])
    normaliser.fit(vectors, **how)
    return normaliser


@pytest.mark.parametrize("count", [1, 2, 5, 40, 101])
@pytest.mark.parametrize("columns", [1, 3, 32])
def test_fit_is_median_and_interquartile_range(count, columns):
    vectors = torch.randn(count, 7) * torch.arange(1, 8) + 3.0
    normaliser = fitted(vectors, columns=columns)
    low, middle, high = np.percentile(vectors.numpy(), [25, 50, 75], axis=0)
    np.testing.assert_allclose(normaliser.centre, middle, rtol=1e-5, atol=1e-6)
    scale = 0.7413 * (high - low)
    np.testing.assert_allclose(normaliser.scale, scale if count > 1 else np.ones(7), rtol=1e-5, atol=1e-6)


def test_scale_of_a_normal_distribution_is_its_standard_deviation():
    assert pytest.approx(1 / (norm.ppf(0.75) - norm.ppf(0.25)), abs=5e-5) == GAUSSIAN_IQR
    quantiles = torch.from_numpy(norm.ppf((np.arange(20_000) + 0.5) / 20_000, loc=2.0, scale=0.3))[:, None]
    normaliser = fitted(quantiles)
    assert normaliser.scale.item() == pytest.approx(0.3, rel=1e-3)
    assert normaliser.centre.item() == pytest.approx(2.0, rel=1e-3)


def test_normalised_vectors_have_median_0_and_range_1_and_come_back():
    vectors = unit(500, 12) + 0.3
    normaliser = fitted(vectors)
    z = normaliser.normalise(vectors)
    again = fitted(z)
    torch.testing.assert_close(again.centre, torch.zeros(12), atol=1e-6, rtol=0)
    torch.testing.assert_close(again.scale, torch.ones(12), atol=1e-5, rtol=0)
    torch.testing.assert_close(normaliser.denormalise(z), vectors, atol=1e-6, rtol=1e-5)
    stacked = vectors.reshape(100, 5, 12)
    torch.testing.assert_close(normaliser.normalise(stacked), z.reshape(100, 5, 12))


def test_outliers_and_constant_dimensions_do_no_harm():
    vectors = torch.randn(1001, 3)
    wild = vectors.clone()
    wild[:5] = 1e6
    torch.testing.assert_close(fitted(wild).scale, fitted(vectors).scale, rtol=0.05, atol=0)
    vectors[:, 1] = 0.25
    normaliser = fitted(vectors)
    assert normaliser.scale[1] == 1.0
    assert (normaliser.normalise(vectors)[:, 1] == 0.0).all()
    assert fitted(vectors.half()).scale.dtype == torch.float32


def test_unfitted_is_not_silently_the_identity():
    assert Normaliser(3).normalise(torch.ones(2, 3)).isnan().all()


def test_model_reads_and_writes_through_its_normaliser():
    model, contexts = model_of("normalised").eval(), unit(6, 5, 8)
    inner = model.predict(model.normaliser.normalise(contexts))
    torch.testing.assert_close(model.normaliser.normalise(model(contexts)), inner, atol=1e-5, rtol=1e-4)
    assert (inner - model.predict(contexts)).abs().max() > 1e-2


def test_prediction_moves_with_the_data():
    """Stretch and shift each dimension of the data, fit again: the same weights predict the same vectors, so moved."""
    model, data, contexts = model_of("normalised").double().eval(), unit(300, 8).double(), unit(6, 5, 8).double()
    stretch, shift = torch.rand(8).double() + 0.5, torch.randn(8).double()
    model.normaliser.fit(data)
    before = model(contexts)
    model.normaliser.fit(data * stretch + shift)
    torch.testing.assert_close(model(contexts * stretch + shift), before * stretch + shift, atol=1e-5, rtol=1e-5)
