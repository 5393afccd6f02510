"""Simulator of lenses with two sources at different redshifts."""

from typing import Annotated

import torch
from annotated_types import Ge
from torch.nn.functional import avg_pool2d

from lenskit.plugin import Distribution, Parameter, Simulator, UsageError
from lenskit_lensing.cosmology import cosmology_named
from lenskit_lensing.instruments.instrument import load_instrument
from lenskit_lensing.light import surface_brightness
from lenskit_lensing.mass import deflection
from lenskit_lensing.render.convolution import Convolver

RAYS = 2  # along each side of a pixel


class DoublePlane(Simulator):
    """A galaxy that lenses two sources; the nearer source also lenses the farther one.

    The mass of the lens is an elliptical power law with shear. The nearer source has the mass of a singular isothermal
    sphere. Surface brightness is in units of the nearer source's, at its half-light radius.

    Args:
        theta_E: Einstein radius of the lens in arcsec, for the farther source.
        gamma: Slope of the mass density of the lens; 2 is isothermal.
        ellipticity: Each component of the lens's ellipticity. Mass and light have the same shape.
        shear: Each component of the external shear.
        z_lens: Redshift of the lens.
        z_near: Redshift of the nearer source.
        z_far: Redshift of the farther source.
        offset: Each coordinate of a source in its plane, in arcsec.
        radius: Half-light radius of a source in arcsec.
        velocity_dispersion: Velocity dispersion of the nearer source in km/s.
        far_brightness: Brightness of the farther source at its half-light radius.
        light_radius: Half-light radius of the lens in arcsec.
        light_brightness: Brightness of the lens at its half-light radius.
        noise: Standard deviation of the noise.
        instrument: Camera with the pixel size and the PSFs: a name of `lenskit list instruments`, or a `.toml` file.
        pixels: Height and width of an image.
        cosmology: A name in astropy, or `FlatLambdaCDM(H0, Om0)`.
    """

    groups = ("lens", "near_source", "far_source", "lens_light", "instrument")
    removable = frozenset({"near_source", "far_source", "lens_light"})
    parameters = (
        Parameter("theta_E", "arcsec", r"$\theta_E$", "lens", headline=True),
        Parameter("beta", "", r"$\beta$", "lens", headline=True),
        Parameter("gamma", "", r"$\gamma$", "lens", headline=True),
        Parameter("near_theta_E", "arcsec", r"$\theta_{E,1}$", "near_source"),
    )

    def __init__(
        self,
        *,
        theta_E: Distribution = "uniform(1.2, 2)",
        gamma: Distribution = "uniform(1.8, 2.2)",
        ellipticity: Distribution = "uniform(-0.15, 0.15)",
        shear: Distribution = "uniform(-0.05, 0.05)",
        z_lens: Distribution = "uniform(0.2, 0.4)",
        z_near: Distribution = "uniform(0.5, 0.9)",
        z_far: Distribution = "uniform(1.5, 4)",
        offset: Distribution = "uniform(-0.1, 0.1)",
        radius: Distribution = "loguniform(0.08, 0.2)",
        velocity_dispersion: Distribution = "uniform(60, 150)",
        far_brightness: Distribution = "uniform(0.5, 1)",
        light_radius: Distribution = "loguniform(0.4, 1)",
        light_brightness: Distribution = "uniform(0.3, 1)",
        noise: Distribution = "loguniform(0.02, 0.1)",
        instrument: str = "euclid-vis",
        pixels: Annotated[int, Ge(16)] = 64,
        cosmology: str = "Planck18",
    ) -> None:
        priors = {
            "lens": {
                "theta_E": theta_E, "gamma": gamma, "e1": ellipticity, "e2": ellipticity,
                "gamma1": shear, "gamma2": shear, "z_lens": z_lens, "z_near": z_near, "z_far": z_far,
            },
            "near_source": {"near_x": offset, "near_y": offset, "near_radius": radius, "sigma_v": velocity_dispersion},
            "far_source": {"far_x": offset, "far_y": offset, "far_radius": radius, "far_brightness": far_brightness},
            "lens_light": {"light_radius": light_radius, "light_brightness": light_brightness},
            "instrument": {"noise_rms": noise},
        }  # fmt: skip
        self.priors = {
            group: {name: Distribution.parse(prior) for name, prior in group_priors.items()}
            for group, group_priors in priors.items()
        }
        (_, lens), near, (far, _) = (self.priors["lens"][name].bounds for name in ("z_lens", "z_near", "z_far"))
        if not lens < near[0] <= near[1] < far:
            raise UsageError("options z_lens, z_near and z_far must be priors whose ranges follow each other")
        self.cosmology = cosmology_named(cosmology)
        band = load_instrument(instrument).band(None)
        self.image_shape, self.pixel_scale = (1, pixels, pixels), band.pixel_scale
        self.convolve = Convolver(band.psfs(), pixels)
        self.axis = (torch.arange(RAYS * pixels) - (RAYS * pixels - 1) / 2) * (band.pixel_scale / RAYS)

    def draw(self, group, rng, scene):
        drawn = rng.samples(self.priors[group])
        if group == "lens":
            drawn["beta"] = self.beta(drawn["z_lens"], drawn["z_near"], drawn["z_far"])
        if group == "near_source":
            drawn["near_theta_E"] = self.cosmology.einstein_radius_sis(
                drawn["sigma_v"], scene["z_near"], scene["z_far"]
            )
        if group == "instrument":
            drawn["psf"] = rng.integers("psf", len(self.convolve.psfs))
            drawn["noise"] = rng.noise("noise", *self.image_shape)
        return drawn

    def beta(self, z_lens, z_near, z_far):
        """Return the ratio of the deflections of both sources, nearer to farther."""
        distance, between = self.cosmology.angular_diameter_distance, self.cosmology.angular_diameter_distance_between
        return between(z_lens, z_near) * distance(z_far) / (distance(z_near) * between(z_lens, z_far))

    def trace(self, x, y, scene):
        """Return the positions of rays in the planes of both sources, in arcsec.

        Deflections are scaled for the farther source (Schneider 2014, https://arxiv.org/abs/1406.6152).
        """
        power_law = {name: scene[name] for name in ("theta_E", "gamma", "e1", "e2")}
        shear = {name: scene[name] for name in ("gamma1", "gamma2")}
        alpha_x, alpha_y = deflection(x, y, [("EPL", power_law), ("SHEAR", shear)])
        beta = scene["beta"][:, None, None]
        near_x, near_y = x - beta * alpha_x, y - beta * alpha_y
        sphere = {"theta_E": scene["near_theta_E"], "center_x": scene["near_x"], "center_y": scene["near_y"]}
        sphere_x, sphere_y = deflection(near_x, near_y, [("SIS", sphere)])
        return (near_x, near_y), (x - alpha_x - sphere_x, y - alpha_y - sphere_y)

    def render(self, scene, omit=()):
        axis = self.axis.to(scene["theta_E"])
        x, y = axis[None, :], axis[:, None]
        near, far = self.trace(x, y, scene)
        galaxy = {name: scene[name] for name in ("e1", "e2")}
        galaxy |= {"amp": scene["light_brightness"], "R_sersic": scene["light_radius"], "n_sersic": 3}
        light = {
            "lens_light": surface_brightness(x, y, [("SERSIC_ELLIPSE", galaxy)]),
            "near_source": surface_brightness(*near, [("SERSIC", disc(scene, "near"))]),
            "far_source": surface_brightness(*far, [("SERSIC", disc(scene, "far") | {"amp": scene["far_brightness"]})]),
        }
        seen = sum(image for group, image in light.items() if group not in omit) + torch.zeros_like(near[0])
        image = self.convolve(avg_pool2d(seen[:, None], RAYS), scene["psf"])
        return image + scene["noise_rms"][:, None, None, None] * scene["noise"]


def disc(scene, source):
    """Return the Sersic profile of a source, which is exponential."""
    x, y, radius = (scene[f"{source}_{name}"] for name in ("x", "y", "radius"))
    return {"R_sersic": radius, "n_sersic": 1, "center_x": x, "center_y": y}
