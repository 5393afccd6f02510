"""Distances and lensing quantities by redshift, batched, on any device.

```python
cosmology = cosmology_named("Planck18")
theta_E = cosmology.einstein_radius_sis(torch.tensor([220.0]), torch.tensor([0.5]), torch.tensor([2.0]))  # 0.87"
```

For each cosmology, `astropy.cosmology` computes a table of comoving distances once. Between the rows of the table, a
cubic interpolates the distance and its derivative c / H, with an error below 1e-9. Results are computed in float64 and
returned in the dtype of the arguments. Redshifts below 0 or above `MAX_REDSHIFT` give NaN, because raising an error
would synchronise a GPU.

If a source is not behind its lens, the Einstein radius is 0, and the critical density and the mass within an Einstein
radius are infinite.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lenskit.plugin import UsageError

MAX_REDSHIFT = 20.0
"""Largest redshift of the tables."""

ROWS = 1025
"""Rows of a table, evenly spaced in log(1 + z)."""

ARCSEC = math.pi / (180 * 3600)
"""One arcsec in radians."""

SPEED_OF_LIGHT = 299792.458
"""In km/s, exactly."""

G_OVER_C2 = 4.785415841587842e-20
"""G / c^2 in Mpc / M_sun, with GM_sun = 1.3271244e20 m^3 s^-2 (IAU 2015, https://arxiv.org/abs/1510.07674)."""


@cache
def cosmology_named(name: str) -> Cosmology:
    """Return a cosmology by name, cached.

    Args:
        name: A cosmology of astropy, such as `Planck18` or `WMAP9`, or `FlatLambdaCDM(H0, Om0)` with H0 in km/s/Mpc.

    Raises:
        UsageError: The cosmology is unknown or not flat.
    """
    return Cosmology(_astropy_cosmology(name))


def _astropy_cosmology(name: str) -> Any:
    from astropy import cosmology as library

    if match := re.fullmatch(r"\s*FlatLambdaCDM\s*\(([^,]+),([^,]+)\)\s*", name):
        try:
            H0, Om0 = map(float, match.groups())
        except ValueError:
            H0 = Om0 = math.nan
        if not (0 < H0 < math.inf and 0 <= Om0 <= 1):
            raise UsageError(f"{name!r} is no cosmology: FlatLambdaCDM(H0, Om0) takes H0 > 0 and Om0 from 0 to 1")
        return library.FlatLambdaCDM(H0=H0, Om0=Om0)
    if name not in library.available:
        available = ", ".join(library.available)
        raise UsageError(f"unknown cosmology {name!r}; use {available} or FlatLambdaCDM(H0, Om0)")
    return getattr(library, name)


class Cosmology:
    """Distances in a flat universe, and gravitational lensing in it.

    All redshifts and other arguments are tensors that broadcast with each other; results have their common shape.

    Args:
        astropy_cosmology: A flat cosmology of `astropy.cosmology`.

    Raises:
        UsageError: The cosmology is not flat.
    """

    def __init__(self, astropy_cosmology: Any) -> None:
        if abs(astropy_cosmology.Ok0) > 1e-8:
            raise UsageError(f"{astropy_cosmology.name} is curved: distances are for flat cosmologies")
        log_a = torch.linspace(0, math.log1p(MAX_REDSHIFT), ROWS, dtype=torch.float64)
        z = log_a.expm1().numpy()
        distance = torch.from_numpy(astropy_cosmology.comoving_distance(z).to_value("Mpc"))
        hubble = torch.from_numpy(astropy_cosmology.H(z).to_value("km / (s Mpc)"))
        self._step = float(log_a[1])
        slope = self._step * SPEED_OF_LIGHT * log_a.exp() / hubble
        self._table = torch.stack([distance, slope], dim=1)
        self._tables: dict[torch.device, Tensor] = {}

    def comoving_distance(self, z: Tensor) -> Tensor:
        """Comoving distance in Mpc."""
        return self._comoving(z).to(_type(z))

    def angular_diameter_distance(self, z: Tensor) -> Tensor:
        """Angular-diameter distance from the observer in Mpc."""
        return (self._comoving(z) / (1 + z.double())).to(_type(z))

    def angular_diameter_distance_between(self, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """Angular-diameter distance between lens and source in Mpc.

        It is 0 if the source is not behind the lens.
        """
        between = (self._comoving(z_source) - self._comoving(z_lens)).clamp(min=0)
        return (between / (1 + z_source.double())).to(_type(z_lens, z_source))

    def kpc_per_arcsec(self, z: Tensor) -> Tensor:
        """Proper length in kpc that appears as one arcsec."""
        return self.angular_diameter_distance(z) * (1e3 * ARCSEC)

    def einstein_radius_sis(self, velocity_dispersion: Tensor, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """Einstein radius of a singular isothermal sphere in arcsec.

        It is 4 pi (sigma / c)^2 D_ls / D_s.

        Args:
            velocity_dispersion: sigma in km/s.
            z_lens: Redshift of the lens.
            z_source: Redshift of the source, above 0.
        """
        kind = _type(velocity_dispersion, z_lens, z_source)
        bend = 4 * math.pi / ARCSEC * (velocity_dispersion.double() / SPEED_OF_LIGHT) ** 2
        return (bend * self._efficiency(z_lens, z_source)).to(kind)

    def velocity_dispersion_sis(self, theta_E: Tensor, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """Velocity dispersion of a singular isothermal sphere in km/s."""
        kind = _type(theta_E, z_lens, z_source)
        bend = theta_E.double() * ARCSEC / (4 * math.pi * self._efficiency(z_lens, z_source))
        return (SPEED_OF_LIGHT * bend.sqrt()).to(kind)

    def einstein_radius_point(self, mass: Tensor, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """Einstein radius of a point mass in arcsec.

        theta_E^2 = 4 G M / c^2 D_ls / (D_l D_s).

        Args:
            mass: In solar masses, at least 0.
            z_lens: Redshift of the lens, above 0.
            z_source: Redshift of the source, above 0.
        """
        kind = _type(mass, z_lens, z_source)
        return (mass.double() / (math.pi * self._critical(z_lens, z_source))).sqrt().to(kind)

    def mass_in_einstein_radius(self, theta_E: Tensor, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """Projected mass within an Einstein radius of a round lens in solar masses."""
        kind = _type(theta_E, z_lens, z_source)
        return (math.pi * theta_E.double() ** 2 * self._critical(z_lens, z_source)).to(kind)

    def critical_density(self, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """Critical surface density in solar masses per square arcsec of the lens plane.

        It is c^2 / (4 pi G) D_s D_l / D_ls. Surface density divided by the critical density is the convergence. A mass
        in solar masses divided by the critical density is its convergence integrated over square arcsec.
        """
        return self._critical(z_lens, z_source).to(_type(z_lens, z_source))

    def _critical(self, z_lens: Tensor, z_source: Tensor) -> Tensor:
        D_l = self._comoving(z_lens) / (1 + z_lens.double())
        return D_l * ARCSEC**2 / (4 * math.pi * G_OVER_C2 * self._efficiency(z_lens, z_source))

    def _efficiency(self, z_lens: Tensor, z_source: Tensor) -> Tensor:
        """D_ls / D_s, 0 where the source is not behind the lens; float64."""
        to_lens, to_source = self._comoving(z_lens), self._comoving(z_source)
        return torch.where(to_source > to_lens, 1 - to_lens / to_source, 0 * (to_lens + to_source))

    def _comoving(self, z: Tensor) -> Tensor:
        """Comoving distance in Mpc, float64, by Hermite's cubic in log(1 + z)."""
        z = z.double()
        place = z.log1p() / self._step
        row = place.nan_to_num().clamp(0, ROWS - 2).floor()
        t = place - row
        if z.device not in self._tables:
            self._tables[z.device] = self._table.to(z.device)
        table, row = self._tables[z.device], row.long()
        (d0, m0), (d1, m1) = table[row].unbind(-1), table[row + 1].unbind(-1)
        rise = d1 - d0
        distance = d0 + t * (m0 + t * (3 * rise - 2 * m0 - m1 + t * (m0 + m1 - 2 * rise)))
        return torch.where((z >= 0) & (z <= MAX_REDSHIFT), distance, math.nan)


def _type(*arguments: Tensor) -> torch.dtype:
    """Return the floating-point dtype of a result."""
    kind = arguments[0].dtype
    for other in arguments[1:]:
        kind = torch.promote_types(kind, other.dtype)
    return kind if kind.is_floating_point else torch.get_default_dtype()
