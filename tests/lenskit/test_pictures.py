"""Pictures of pairs: positions, colours and captions."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from lenskit.kinds.parameter import Parameter
from lenskit.pictures import PER_LINE, Views, colours, composite, draw_views

THETA_E = Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True)
NOISE = Parameter("log_noise", "", r"$\log_{10}$ noise", "instrument")


def views(lenses: int, each: int, channels: int = 1, **changes) -> Views:
    """Images that are filled with noise above the number of their lens."""
    images = torch.rand(lenses, each, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    own = torch.arange(lenses)[:, None] + 1.0
    values = {
        "theta_E": (own / 10).expand(-1, each),
        "log_noise": -own - torch.arange(each),
    }
    given = {
        "title": "", "labels": [f"view {i + 1}" for i in range(each)], "images": images,
        "parameters": [THETA_E, NOISE], "values": values,
    }  # fmt: skip
    return Views(**given | changes)


def drawn(figure: Figure) -> list:
    """The panels that hold an image, by rows from the top."""
    figure.savefig(io.BytesIO(), format="png")
    panels = [axes for axes in figure.get_axes() if axes.images]
    return sorted(panels, key=lambda axes: (-round(axes.get_position().y0, 1), axes.get_position().x0))


def test_lenses_are_columns_and_views_rows() -> None:
    group = views(3, 2)
    panels = drawn(draw_views([group]))
    assert len(panels) == 6
    for place, panel in enumerate(panels):
        view, lens = divmod(place, 3)
        np.testing.assert_array_equal(panel.images[0].get_array(), group.images[lens, view, 0])
    assert [panel.get_ylabel() for panel in panels] == ["view 1", "", "", "view 2", "", ""]


def test_what_views_share_stands_once() -> None:
    panels = drawn(draw_views([views(2, 2)]))
    noise = r"$\log_{10}$ noise ${}= "
    assert [panel.get_xlabel() for panel in panels] == [
        f"{noise}-1.00$",
        f"{noise}-2.00$",
        f"{noise}-2.00$\n$\\theta_E = 0.100''$",
        f"{noise}-3.00$\n$\\theta_E = 0.200''$",
    ]


def test_unknown_values_are_left_out_and_classes_named() -> None:
    kind = Parameter("kind", classes=("ring", "arc"))
    values = {"theta_E": torch.tensor([[torch.nan], [1.5]]), "kind": torch.tensor([[1.0], [0.0]])}
    panels = drawn(draw_views([views(2, 1, parameters=[THETA_E, kind], values=values)]))
    assert [panel.get_xlabel() for panel in panels] == ["kind: arc", r"$\theta_E = 1.50''$   kind: ring"]
    assert not any(panel.get_ylabel() for panel in panels)


@pytest.mark.slow
@pytest.mark.parametrize("lenses", [1, 5, PER_LINE + 1, 2 * PER_LINE + 2])
def test_many_lenses_take_several_lines(lenses: int) -> None:
    group = views(lenses, 2, names=[f"J{i}" for i in range(lenses)])
    figure = draw_views([group])
    panels = drawn(figure)
    assert len(panels) == 2 * lenses
    assert sorted(panel.get_title() for panel in panels if panel.get_title()) == sorted(group.names)
    heights = {round(panel.get_position().height, 3) for panel in panels}
    assert max(heights) - min(heights) <= 0.002
    assert len({round(panel.get_position().x0, 3) for panel in panels}) <= PER_LINE


@pytest.mark.slow
def test_groups_stand_side_by_side_at_one_height() -> None:
    figure = draw_views([views(2, 2, title="short"), views(2, 2, title="a long title " * 12)])
    corners = sorted((box.y0, box.x0) for box in (panel.get_window_extent() for panel in drawn(figure)))
    for row in (corners[:4], corners[4:]):
        assert row[-1][0] - row[0][0] < 5
        assert len({round(x / 20) for _, x in row}) == 4


def test_three_channels_are_colours() -> None:
    image = np.zeros((3, 10, 10), np.float32)
    image[:, :, 5:] = np.array([4, 2, 0])[:, None, None]  # red, half as much green
    image += np.array([7, -3, 0])[:, None, None]  # and a background in each
    colours = composite(image)
    np.testing.assert_allclose(colours[:, 5:], np.broadcast_to([1, 0.5, 0], (10, 5, 3)), atol=1e-6)
    np.testing.assert_allclose(colours[:, :5], 0, atol=1e-6)
    group = views(1, 1, 3)
    for rgb in ((0, 1, 2), (2, 1, 0)):
        shown = drawn(draw_views([group], rgb))[0].images[0].get_array()
        np.testing.assert_allclose(shown, composite(group.images[0, 0].numpy()[list(rgb)]))


def test_other_numbers_of_channels_are_averaged() -> None:
    group = views(1, 1, 2)
    np.testing.assert_allclose(drawn(draw_views([group]))[0].images[0].get_array(), group.images[0, 0].mean(0))


def test_an_image_of_nothing_can_be_drawn() -> None:
    for channels in (1, 3):
        assert drawn(draw_views([views(1, 1, channels, images=torch.zeros(1, 1, channels, 8, 8))]))


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_colours_are_those_of_the_figure(channels: int) -> None:
    group = views(1, 1, channels)
    (panel,) = drawn(draw_views([group]))
    (image,) = panel.images
    shown = image.to_rgba(image.get_array())[..., :3]
    assert colours(group.images[0, 0].numpy()) == pytest.approx(shown, abs=1e-6)
    assert np.isfinite(colours(np.zeros((channels, 8, 9), np.float32))).all()
