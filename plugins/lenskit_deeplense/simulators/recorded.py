"""Recorded parameters of lenses with substructure: all parameters that vary."""

from __future__ import annotations

from collections.abc import Container, Mapping

from lenskit.plugin import Distribution, Parameter

CLASSES = ("none", "spherical", "vortex")
"""Names of the classes, in the order of their numbers."""

LABEL = Parameter("substructure", "", "substructure", "substructure", CLASSES, headline=True)

REDSHIFTS = ("z_lens", "z_source")
POSITION = ("source_r", "source_x", "source_y")

FOLLOWING: tuple[tuple[Parameter, tuple[str, ...]], ...] = (
    (Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True), ("theta_E",)),
    (Parameter("halo_mass", "Msun", "$M$"), ("halo_mass",)),
    (Parameter("z_lens", "", "$z_l$"), ("z_lens",)),
    (Parameter("z_source", "", "$z_s$"), ("z_source",)),
    (Parameter("e1", "", "$e_1$"), ("lens_q", "lens_angle")),
    (Parameter("e2", "", "$e_2$"), ("lens_q", "lens_angle")),
    (Parameter("gamma1", "", r"$\gamma_1$", headline=True), ("shear", "shear_angle")),
    (Parameter("gamma2", "", r"$\gamma_2$", headline=True), ("shear", "shear_angle")),
    (Parameter("center_x", "arcsec", "$x_c$"), ("center_x",)),
    (Parameter("center_y", "arcsec", "$y_c$"), ("center_y",)),
    (Parameter("source_x", "arcsec", "$x_s$", "source"), POSITION),
    (Parameter("source_y", "arcsec", "$y_s$", "source"), POSITION),
    (Parameter("source_radius", "arcsec", "$R_s$", "source"), ("source_radius",)),
    (Parameter("source_n", "", "$n_s$", "source"), ("source_n",)),
    (Parameter("source_amplitude", "", "$I_s$", "source"), ("source_amplitude",)),
    (Parameter("source_e1", "", "$e_{1,s}$", "source"), ("source_q", "source_angle", "source_e1")),
    (Parameter("source_e2", "", "$e_{2,s}$", "source"), ("source_q", "source_angle", "source_e2")),
    (Parameter("light_radius", "arcsec", "$R_l$", "lens_light"), ("light_radius",)),
    (Parameter("light_n", "", "$n_l$", "lens_light"), ("light_n",)),
    (Parameter("light_amplitude", "", "$I_l$", "lens_light"), ("light_amplitude",)),
    (Parameter("light_e1", "", "$e_{1,l}$", "lens_light"), ("light_q", "light_angle")),
    (Parameter("light_e2", "", "$e_{2,l}$", "lens_light"), ("light_q", "light_angle")),
    (Parameter("snr", "", "S/N", "instrument"), ("snr",)),
    (Parameter("background_rms", "", r"$\sigma_b$", "instrument"), ("background_rms",)),
    (Parameter("exposure", "s", r"$t$", "instrument"), ("exposure",)),
    (Parameter("sky_rms", "1/s", r"$\sigma_s$", "instrument"), ("sky_rms",)),
)
"""Parameters with the priors on which they depend. A parameter is recorded if one of its priors varies."""

KNOWN = (
    *(parameter for parameter, _ in FOLLOWING),
    Parameter("lens_q", "", "$q$"),
    Parameter("lens_angle", "rad", r"$\phi$", spin=2),
    Parameter("shear", "", r"$\gamma$"),
    Parameter("shear_angle", "rad", r"$\phi_\gamma$", spin=2),
    Parameter("light_q", "", "$q_l$", "lens_light"),
    Parameter("light_angle", "rad", r"$\phi_l$", "lens_light", spin=2),
    Parameter("source_q", "", "$q_s$", "source"),
    Parameter("source_angle", "rad", r"$\phi_s$", "source", spin=2),
    Parameter("source_r", "arcsec", "$r_s$", "source"),
    Parameter("subhalo_mass_fraction", "", r"$f_\mathrm{sub}$", "substructure"),
    Parameter("subhalo_r", "arcsec", r"$r_\mathrm{sub}$", "substructure"),
    Parameter("subhalo_truncation", "", r"$\tau$", "substructure"),
    Parameter("string_mass", "Msun", r"$M_\mathrm{string}$", "substructure"),
    Parameter("string_mass_fraction", "", r"$f_\mathrm{string}$", "substructure"),
    Parameter("log_axion_mass", "log10 eV", r"$\log_{10} m$", "substructure"),
)
"""Columns that a table of lenses may have: the parameters above, and priors from which they are derived."""

ANGLE_OF = {
    "lens_angle": ("lens_q", 1.0),
    "light_angle": ("light_q", 1.0),
    "source_angle": ("source_q", 1.0),
    "shear_angle": ("shear", 0.0),
}
"""For each angle, the parameter to which it belongs, and the value of this parameter without a direction."""

OF_ANY = (
    Parameter("substructure_mass", "Msun", r"$M_\mathrm{sub}$", "substructure"),
    Parameter("substructure_fraction", "", r"$f_\mathrm{sub}$", "substructure"),
)
"""Parameters that are zero without substructure."""

OF_SPHERICAL = (Parameter("subhalos", "", "$N$", "substructure"),)

OF_VORTEX = (
    Parameter("string_length", "arcsec", r"$\ell$", "substructure"),
    Parameter("string_angle", "rad", r"$\psi$", "substructure", spin=2),
)
"""Parameters that are NaN (unknown) without a string."""


def recorded(priors: Mapping[str, Distribution], kinds: Container[str]) -> tuple[Parameter, ...]:
    """Return the recorded parameters.

    Args:
        priors: Priors in use.
        kinds: Kinds of substructure in use: `spherical`, `vortex` or both.
    """
    varied = {name for name, prior in priors.items() if prior.bounds[0] < prior.bounds[1]}
    varied -= {
        angle for angle, (name, none) in ANGLE_OF.items() if name in priors and priors[name].bounds == (none, none)
    }
    drawn, derived = ("halo_mass", "theta_E") if "halo_mass" in priors else ("theta_E", "halo_mass")
    if varied.intersection((drawn, *REDSHIFTS)):
        varied.add(derived)
    if "source_r" in priors and priors["source_r"].bounds != (0, 0):
        varied.add("source_r")  # its direction is random
    following = tuple(parameter for parameter, names in FOLLOWING if varied.intersection(names))
    spherical = OF_SPHERICAL if "spherical" in kinds else ()
    vortex = OF_VORTEX if "vortex" in kinds else ()
    return (LABEL, *following, *(OF_ANY if spherical or vortex else ()), *spherical, *vortex)
