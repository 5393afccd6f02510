"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_methods():
    return [
        Component("simsiam", "lenskit_siamese.simsiam:SimSiam", "SimSiam (Chen & He 2021)"),
        Component("byol", "lenskit_siamese.byol:BYOL", "BYOL: a momentum target (Grill et al. 2020)"),
        Component("simclr", "lenskit_siamese.simclr:SimCLR", "SimCLR: contrast within a batch (Chen et al. 2020)"),
        Component("moco", "lenskit_siamese.moco:MoCo", "MoCo v2: contrast with a queue (Chen et al. 2020)"),
        Component("vicreg", "lenskit_siamese.vicreg:VICReg", "VICReg: no collapse by variance (Bardes et al. 2022)"),
        Component(
            "barlow-twins",
            "lenskit_siamese.barlow_twins:BarlowTwins",
            "Barlow Twins: no redundancy (Zbontar et al. 2021)",
        ),
    ]


@hookimpl
def lenskit_pairs():
    return [
        Component(
            "default", "lenskit_siamese.pairs:Default", "One image, cropped, flipped, jittered and blurred twice"
        ),
        Component("single", "lenskit_siamese.pairs:Single", "One image, as it is: for autoencoders and supervision"),
    ]
