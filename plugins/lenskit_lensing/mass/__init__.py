"""Mass: deflections of lens models, in batches, differentiable.

Parameters are tensors (n,), one lens a row; positions `x` and `y` in arcsec broadcast to (n, height, width), so that a
regular grid may be given as a row (1, width) and a column (height, 1). Each function returns the deflection's two
components in arcsec, (n, height, width) each. Names and conventions are lenstronomy's
(https://lenstronomy.readthedocs.io).
"""

from lenskit_lensing.mass.external import shear
from lenskit_lensing.mass.power_law import epl, epl_terms

__all__ = ["epl", "epl_terms", "shear"]
