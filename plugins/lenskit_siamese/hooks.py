"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_methods() -> list[Component]:
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
        Component("dino", "lenskit_siamese.dino:DINO", "DINO: a teacher that follows its student (Caron et al. 2021)"),
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
            "default", "lenskit_siamese.pairs:Default", "One image, cropped, flipped, jittered and blurred twice"
        ),
        Component("crop", "lenskit_siamese.transforms:Crop", "Each view a random part of an image, enlarged"),
        Component("flip", "lenskit_siamese.transforms:Flip", "Each view mirrored, or not"),
        Component("jitter", "lenskit_siamese.transforms:Jitter", "Each view in another brightness and contrast"),
        Component("blur", "lenskit_siamese.transforms:Blur", "Each view blurred"),
        Component("noise", "lenskit_siamese.noise:Noise", "Each view with more noise"),
        Component("dihedral", "lenskit_siamese.dihedral:Dihedral", "Each view turned by quarters and mirrored"),
        Component("single", "lenskit_siamese.pairs:Single", "One image, as it is: for autoencoders and supervision"),
        Component(
            "multi-crop", "lenskit_siamese.multi_crop:MultiCrop", "One image, cropped in large and in small (DINO)"
        ),
    ]
