"""The encoder as a transformer of scikit-learn keeps scikit-learn's rules."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lenskit
from lenskit import LensEncoder
from lenskit.data.simulated import SimulatedLenses
from lenskit.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("estimator") / "blobs"
    return lenskit.train("toys", out=out, epochs=2, accelerator="cpu", progress=False)


@pytest.fixture(scope="module")
def images(run: Run) -> np.ndarray:
    return SimulatedLenses(run.simulator(), seed=0, split="embed").read(range(24)).images.numpy()


def test_features_are_those_of_the_run(run: Run, images: np.ndarray) -> None:
    encoder = LensEncoder(run.path, batch_size=5, device="cpu")
    wanted, _ = run.embed(24, device="cpu")
    features = encoder.fit_transform(images)
    assert features.shape == (24, 16)
    np.testing.assert_allclose(features, wanted, atol=1e-6)
    np.testing.assert_allclose(encoder.transform(torch.from_numpy(images)), wanted, atol=1e-6)
    np.testing.assert_allclose(encoder.transform(images[3:4]), wanted[3:4], atol=1e-6)


def test_the_constructor_sets_its_parameters_and_nothing_else() -> None:
    names = inspect.signature(LensEncoder).parameters.keys()
    encoder = LensEncoder("nowhere", 7, "cpu")
    assert vars(encoder) == dict(zip(names, ("nowhere", 7, "cpu"), strict=True))
    assert encoder.get_params() == vars(encoder)


def test_clone_and_set_params(run: Run, images: np.ndarray) -> None:
    encoder = LensEncoder("nowhere", batch_size=3).set_params(path=run.path, device="cpu")
    assert encoder.get_params() == {"path": run.path, "batch_size": 3, "device": "cpu"}
    encoder.fit(images)
    copied = clone(encoder)
    assert copied.get_params() == encoder.get_params()
    assert not hasattr(copied, "encoder_")
    with pytest.raises(ValueError, match="Invalid parameter 'batchsize'"):
        encoder.set_params(batchsize=3)


def test_before_fit_there_is_nothing_to_transform_with(run: Run, images: np.ndarray) -> None:
    encoder = LensEncoder(run.path)
    with pytest.raises(NotFittedError):
        encoder.transform(images)
    with pytest.raises(NotFittedError):
        encoder.get_feature_names_out()
    assert encoder.fit() is encoder
    assert encoder.image_shape_ == (1, 12, 12)


def test_a_fitted_one_is_pickled_whole(run: Run, images: np.ndarray) -> None:
    encoder = LensEncoder(run.path, device="cpu").fit()
    again = pickle.loads(pickle.dumps(encoder.set_params(path="moved")))
    np.testing.assert_array_equal(again.transform(images), encoder.transform(images))
    assert again.path == "moved"


def test_names_of_features(run: Run) -> None:
    names = LensEncoder(run.path).fit().get_feature_names_out()
    assert list(names) == [f"lensencoder{i}" for i in range(16)]


def test_output_as_a_data_frame(run: Run, images: np.ndarray) -> None:
    pandas = pytest.importorskip("pandas")
    encoder = LensEncoder(run.path, device="cpu").set_output(transform="pandas")
    table = encoder.fit_transform(images)
    assert isinstance(table, pandas.DataFrame)
    assert list(table.columns) == list(encoder.get_feature_names_out())
    np.testing.assert_array_equal(table.to_numpy(), encoder.set_output(transform="default").transform(images))


def test_output_as_a_polars_table(run: Run, images: np.ndarray) -> None:
    polars = pytest.importorskip("polars")
    table = LensEncoder(run.path).set_output(transform="polars").fit_transform(images)
    assert isinstance(table, polars.DataFrame)
    assert table.shape == (24, 16)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_it_stands_in_pipelines_and_searches(run: Run, images: np.ndarray, kind) -> None:
    width = run.embed(24, device="cpu")[1]["width"]
    features = run.embed(24, device="cpu")[0]
    pipeline = make_pipeline(LensEncoder(run.path, device="cpu"), StandardScaler(), Ridge())
    search = GridSearchCV(pipeline, {"ridge__alpha": [0.1, 10.0], "lensencoder__batch_size": [8]}, cv=3)
    search.fit(kind(images), width)
    assert search.predict(kind(images)).shape == (24,)
    for alpha, score in zip([0.1, 10.0], search.cv_results_["mean_test_score"], strict=True):
        wanted = cross_val_score(make_pipeline(StandardScaler(), Ridge(alpha=alpha)), features, width, cv=3).mean()
        assert score == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("shape", [(3, 16, 16), (3, 2, 16, 16), (3, 256)])
def test_images_of_another_shape_are_a_value_error_of_one_line(run: Run, shape: tuple[int, ...]) -> None:
    for attempt in (LensEncoder(run.path).fit, LensEncoder(run.path).fit().transform):
        with pytest.raises(ValueError, match=r"takes images \(n, 1 x 12 x 12\), got ") as caught:
            attempt(np.zeros(shape))
        assert "\n" not in str(caught.value)


def test_wrong_parameters_are_said_by_fit(run: Run) -> None:
    with pytest.raises(ValueError, match="there is nothing at nowhere"):
        LensEncoder("nowhere").fit()
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        LensEncoder(run.path, batch_size=0).fit()
    with pytest.raises(ValueError, match="there is no device 'gpu' here"):
        LensEncoder(run.path, device="gpu").fit()


def test_it_takes_an_encoders_folder(run: Run, images: np.ndarray) -> None:
    wanted = LensEncoder(run.path).fit_transform(images)
    np.testing.assert_array_equal(LensEncoder(str(Path(run.path) / "encoder")).fit_transform(images), wanted)
