"""Mass: deflections of lens models, in batches, differentiable.

Parameters are tensors (n,), one lens a row; positions `x` and `y` in arcsec broadcast to (n, height, width), so that a
regular grid may be given as a row (1, width) and a column (height, 1). Each function returns the deflection's two
components in arcsec, (n, height, width) each. Names and conventions are lenstronomy's
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
