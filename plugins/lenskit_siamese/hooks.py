"""Methods and pair strategies of this plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_methods() -> list[Component]:
    return [
        Component("simsiam", "lenskit_siamese.simsiam:SimSiam", "SimSiam: a stop-gradient target (Chen & He 2021)"),
        Component("byol", "lenskit_siamese.byol:BYOL", "BYOL: a moving-average target (Grill et al. 2020)"),
        Component("simclr", "lenskit_siamese.simclr:SimCLR", "SimCLR: contrast within a batch (Chen et al. 2020)"),
        Component("moco", "lenskit_siamese.moco:MoCo", "MoCo v2: contrast with a queue of keys (Chen et al. 2020)"),
        Component(
            "vicreg", "lenskit_siamese.vicreg:VICReg", "VICReg: variance and covariance terms (Bardes et al. 2022)"
        ),
        Component(
            "barlow-twins",
            "lenskit_siamese.barlow_twins:BarlowTwins",
            "Barlow Twins: redundancy reduction (Zbontar et al. 2021)",
        ),
        Component("dino", "lenskit_siamese.dino:DINO", "DINO: a student and its moving average (Caron et al. 2021)"),
        Component("mae", "lenskit_siamese.mae:MAE", "MAE: a masked autoencoder, for ViTs (He et al. 2022)"),
        Component("lejepa", "lenskit_siamese.lejepa:LeJEPA", "LeJEPA: Gaussian embeddings (Balestriero & LeCun 2025)"),
        Component(
            "supervised", "lenskit_siamese.supervised:Supervised", "Prediction of recorded parameters and classes"
        ),
    ]


@hookimpl
def lenskit_pairs() -> list[Component]:
    return [
        Component(
            "default", "lenskit_siamese.pairs:Default", "Two augmented copies of one image: crop, flip, jitter, blur"
        ),
        Component("crop", "lenskit_siamese.transforms:Crop", "Each view cropped at random and enlarged"),
        Component("flip", "lenskit_siamese.transforms:Flip", "Each view mirrored at random"),
        Component("jitter", "lenskit_siamese.transforms:Jitter", "Each view with random brightness and contrast"),
        Component("blur", "lenskit_siamese.transforms:Blur", "Each view blurred at random"),
        Component("noise", "lenskit_siamese.noise:Noise", "Each view with added noise"),
        Component("dihedral", "lenskit_siamese.dihedral:Dihedral", "Each view rotated by quarter turns and mirrored"),
        Component("single", "lenskit_siamese.pairs:Single", "One unchanged image: for autoencoders and supervision"),
        Component("multi-crop", "lenskit_siamese.multi_crop:MultiCrop", "Large and small crops of one image (DINO)"),
    ]
