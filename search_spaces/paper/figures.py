"""Studies of the paper's figures: limited real data (3, 7), hyperparameters (4), flatness of minima (8)."""

from collections.abc import Mapping

from crossarch.search_spaces.paper.tables import networks_axis, paper_study, sets_axis
from crossarch.search_spaces.recipes import BASELINE, FULL, NO_LION, WITHOUT_DP_KD, Arm, Changes, three_phase
from crossarch.search_spaces.study import Axis, Chart, Study
from crossarch.trainables.config.datasets import DATASETS

FRACTIONS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.05)
"""Fractions of CIFAR-10's 50,000 training images. The paper's text gives 0.002, 0.02, 0.04 and 0.05; 0.005 and 0.01 are
ours."""

BATCH_SIZE = 128

ARMS = (BASELINE, WITHOUT_DP_KD, FULL)


def images_per_class(fraction: float) -> int:
    """Images per class in `fraction` of CIFAR-10's training set: 10 for 0.002.

    Raises ValueError if the number is not an integer of at least 1.
    """
    facts = DATASETS["cifar10"]
    exact = fraction * facts.train / facts.classes
    if round(exact) < 1 or abs(exact - round(exact)) > 1e-6:
        raise ValueError(f"fraction = {fraction:g} is {exact:g} images a class, which is not a whole number from 1 on")
    return round(exact)


def fraction_changes(fraction: float) -> Changes:
    """Changes for `fraction` of the real images: data, batch size and augmentation folds."""
    images = images_per_class(fraction)
    return {
        "data": {"kind": "real", "dataset": "cifar10", "images_per_class": images},
        "batch_size": min(BATCH_SIZE, images * DATASETS["cifar10"].classes),
        "augmentation.folds": 2,
    }


def limited_data(
    figure: int, question: str, panels: Mapping[str, tuple[str, ...]], more_arms: tuple[Arm, ...] = ()
) -> Study:
    """Study `figure<figure>` over FRACTIONS.

    Args:
        figure: Number of the figure in the paper.
        question: The study's question.
        panels: Network labels by panel of the figure.
        more_arms: Arms in addition to ARMS.
    """
    arms = (*ARMS, *more_arms)
    networks = {"ConvNet", *(network for shown in panels.values() for network in shown)}
    return paper_study(
        f"Figure {figure}",
        question,
        (
            Axis(
                name="fraction",
                choices={f"{fraction:g}": fraction_changes(fraction) for fraction in FRACTIONS},
                beneath_arms=True,
            ),
            networks_axis(networks),
        ),
        arms,
        chart=Chart(
            reference=f"Figure {figure}",
            quantity="Fraction of CIFAR-10's training images",
            axis="fraction",
            points={f"{fraction:g}": tuple((panel, fraction) for panel in panels) for fraction in FRACTIONS},
            networks=panels,
            arms=tuple(arm.name for arm in arms),
            log=True,
        ),
    )


FIGURE3 = limited_data(
    3,
    "From what fraction of the real training images on do ResNets beat the 3-layer CNN, plainly and with the method?",
    {"ResNet18": ("ConvNet", "ResNet18"), "ResNet50": ("ConvNet", "ResNet50")},
)


MINIMA = (0.3, 0.4, 0.6, 0.7, 0.8)
SAME_LENGTH = (0.6, 0.7, 0.8)
"""Only minima above the default 0.5: with S = 3000 the keep rate does not fall below 0.5."""
ALPHAS = (0.1, 0.3, 0.6, 0.7, 0.8, 0.9)
TEMPERATURES = (1.0, 2.0, 4.0, 7.0, 10.0)

RATES, LENGTHS = "Minimum keep rate", "Minimum keep rate, same length"
WEIGHTS, HEATS = "Weight of distillation, alpha", "Temperature of distillation, tau"

CNN = ("ConvNet",)

SWEPT = (
    *((FULL.changed(three_phase(p)).named(f"minimum_{p:g}", f"p_min {p:g}"), RATES, p) for p in MINIMA),
    *(
        (FULL.changed({"keep_rate.minimum": p}).named(f"same_{p:g}", f"p_min {p:g}, same length"), LENGTHS, p)
        for p in SAME_LENGTH
    ),
    *((FULL.changed({"kd.alpha": a}).named(f"alpha_{a:g}", f"alpha {a:g}"), WEIGHTS, a) for a in ALPHAS),
    *((FULL.changed({"kd.temperature": t}).named(f"tau_{t:g}", f"tau {t:g}"), HEATS, t) for t in TEMPERATURES),
)
"""(arm, panel, value) triples."""

FIGURE4 = paper_study(
    "Figure 4",
    "How much do minimum keep rate, distillation's weight and its temperature matter, on ResNet18?",
    (sets_axis("cifar10", ("frepo",), (10,)), networks_axis(("ConvNet", "ResNet18"))),
    (
        BASELINE.named("baseline", "Baseline", networks=CNN),
        WITHOUT_DP_KD.named("without_dp_kd", "w/o DP & KD", networks=CNN),
        FULL,
        *(arm for arm, _, _ in SWEPT),
    ),
    chart=Chart(
        reference="Figure 4",
        axis="arm",
        points={
            "full": ((RATES, 0.5), (LENGTHS, 0.5), (WEIGHTS, 0.5), (HEATS, 1.5)),
            **{arm.name: ((panel, value),) for arm, panel, value in SWEPT},
        },
        networks=dict.fromkeys((RATES, LENGTHS, WEIGHTS, HEATS), ("ResNet18",)),
        levels=("baseline", "without_dp_kd"),
    ),
)


TAUGHT_BY_RESNET18 = FULL.named(
    "full_resnet18", "Full, taught by ResNet18", networks=("ResNet50",), teacher_network="ResNet18"
)

FIGURE7 = limited_data(
    7,
    "Does the method help VGG11 on limited real data, and does ResNet18 teach ResNet50 where the 3-layer CNN cannot?",
    {"VGG11": ("ConvNet", "VGG11"), "ResNet50": ("ResNet18", "ResNet50")},
    (TAUGHT_BY_RESNET18,),
)


FIGURE8 = paper_study(
    "Figure 8",
    "Does ResNet18, trained with DropPath and distillation, end in a flatter minimum with Lion than with AdamW?",
    (sets_axis("cifar10", ("frepo",), (10,)), networks_axis(("ConvNet", "ResNet18"))),
    (FULL.named("lion", "Lion"), FULL.changed(NO_LION).named("adamw", "AdamW")),
    keeps_weights=True,
)
