"""Deflections of lens models, batched and differentiable.

Parameters are tensors (n,), one value per lens. Positions `x` and `y` in arcsec broadcast to (n, height, width). A
regular grid may be a row (1, width) and a column (height, 1). Each function returns the two components of the
deflection in arcsec, (n, height, width) each. Names and conventions are those of lenstronomy
(https://lenstronomy.readthedocs.io).

`deflection` adds up profiles by lenstronomy's names, the keys of `PROFILES`.
"""

from lenskit_lensing.mass.composition import PROFILES, deflection, hessian, magnification
from lenskit_lensing.mass.external import mass_sheet, point_mass, shear
from lenskit_lensing.mass.halos import nfw, pjaffe, tnfw
from lenskit_lensing.mass.isothermal import sie, sis
from lenskit_lensing.mass.multipole import multipole
from lenskit_lensing.mass.points import line_mass, point_masses
from lenskit_lensing.mass.power_law import epl, epl_terms

__all__ = [
    "PROFILES",
    "deflection",
    "epl",
    "epl_terms",
    "hessian",
    "line_mass",
    "magnification",
    "mass_sheet",
    "multipole",
    "nfw",
    "pjaffe",
    "point_mass",
    "point_masses",
    "shear",
    "sie",
    "sis",
    "tnfw",
]
