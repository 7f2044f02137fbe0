"""The genes of the routing policy: everything about it that a campaign may change.

Groups: `features.` what of a request is seen, `classes.` and `clusters.` how requests are sorted, `quality.` and
`cost.` how the two predictions are made, `score.` how they are weighed, `explore.` how a learning router explores.
The first five groups are read when a snapshot is fitted, the last two (and the blend genes of `quality.`)
at each decision. The ranges of `features.` and `clusters.count` end where a decision would take a tenth of a
millisecond.
"""

from evolving_ai.domain.genes import ChoiceGene, Condition, FloatGene, IntGene, SearchSpace

__all__ = ["EXPLORATION_GROUP", "routing_genes"]

EXPLORATION_GROUP = "explore."

_WITH_CLASSES = Condition("quality.predictor", ("classes", "blend"))
_WITH_RIDGE = Condition("classes.learner", ("ridge",))
_WITH_LOGISTIC = Condition("classes.learner", ("logistic",))
_WITH_CLUSTERS = Condition("quality.predictor", ("clusters", "blend"))
_WITH_RESIDUAL = Condition("quality.residual", ("on",))


def routing_genes() -> SearchSpace:
    """The whole space; its defaults are the seed policy."""
    return SearchSpace([*_feature_genes(), *_quality_genes(), *_cost_genes(), *_score_genes(), *_exploration_genes()])


def _feature_genes() -> list[ChoiceGene | FloatGene | IntGene]:
    component = "decision.features"
    return [
        IntGene(
            name="features.head_chars",
            component=component,
            low=100,
            high=600,
            default=500,
            log=True,
            about="characters read from the start of a prompt",
        ),
        IntGene(
            name="features.tail_chars",
            component=component,
            low=0,
            high=200,
            default=150,
            about="characters read from the end of a longer prompt",
        ),
        ChoiceGene(
            name="features.char_ngrams",
            component=component,
            choices=("none", "3", "4", "3-4", "3-5"),
            default="3-4",
            about="lengths of the hashed character n-grams",
        ),
        ChoiceGene(
            name="features.word_ngrams",
            component=component,
            choices=("1", "1-2"),
            default="1-2",
            about="lengths of the hashed word n-grams",
        ),
        IntGene(
            name="features.bits",
            component=component,
            low=9,
            high=11,
            default=11,
            about="base-2 logarithm of the number of hash buckets",
        ),
        ChoiceGene(
            name="features.counts",
            component=component,
            choices=("log", "sqrt", "binary"),
            default="log",
            about="how often a bucket was hit, damped",
        ),
        FloatGene(
            name="features.rarity",
            component=component,
            low=0.0,
            high=2.0,
            default=1.0,
            about="exponent of the inverse document frequency",
        ),
        FloatGene(
            name="features.statistics",
            component=component,
            low=0.0,
            high=0.5,
            default=0.1,
            about="scale of the statistics (length, digits, lines, ...) beside the unit-length hashed part",
        ),
        FloatGene(
            name="features.context",
            component=component,
            low=0.0,
            high=3.0,
            default=1.0,
            about="scale of the context columns, where the caller gives any",
        ),
    ]


def _quality_genes() -> list[ChoiceGene | FloatGene | IntGene]:
    component = "decision.quality"
    return [
        ChoiceGene(
            name="quality.predictor",
            component=component,
            choices=("mean", "classes", "clusters", "blend"),
            default="mean",
            about="one mean for each model; or means by recorded task class, by cluster of prompts, or by both",
        ),
        ChoiceGene(
            name="classes.learner",
            component=component,
            choices=("ridge", "logistic"),
            default="ridge",
            active_when=_WITH_CLASSES,
            about="how the class is predicted from the features: ridge regression of its indicator, or its log odds",
        ),
        IntGene(
            name="classes.ridge_log2",
            component=component,
            low=-5,
            high=4,
            default=-1,
            active_when=_WITH_RIDGE,
            about="base-2 logarithm of the ridge penalty of the class predictor",
        ),
        FloatGene(
            name="classes.sharpness",
            component=component,
            low=2.0,
            high=40.0,
            default=10.0,
            log=True,
            active_when=_WITH_RIDGE,
            about="inverse temperature of the class probabilities",
        ),
        IntGene(
            name="classes.inverse_penalty_log2",
            component=component,
            low=-1,
            high=8,
            default=4,
            active_when=_WITH_LOGISTIC,
            about="base-2 logarithm of the inverse penalty of the logistic class predictor",
        ),
        FloatGene(
            name="classes.odds_sharpness",
            component=component,
            low=0.4,
            high=4.0,
            default=1.0,
            log=True,
            active_when=_WITH_LOGISTIC,
            about="inverse temperature of its probabilities",
        ),
        IntGene(
            name="clusters.count",
            component=component,
            low=4,
            high=32,
            default=24,
            log=True,
            active_when=_WITH_CLUSTERS,
            about="number of clusters of prompts",
        ),
        FloatGene(
            name="clusters.sharpness",
            component=component,
            low=2.0,
            high=60.0,
            default=15.0,
            log=True,
            active_when=_WITH_CLUSTERS,
            about="inverse temperature of the cluster memberships",
        ),
        FloatGene(
            name="clusters.share",
            component=component,
            low=0.0,
            high=1.0,
            default=0.3,
            active_when=Condition("quality.predictor", ("blend",)),
            about="share of the cluster means in the blend",
        ),
        FloatGene(
            name="quality.shrinkage",
            component=component,
            low=0.5,
            high=60.0,
            default=5.0,
            log=True,
            about="queries' worth of the model's overall mean in each class or cluster mean",
        ),
        ChoiceGene(
            name="quality.residual",
            component=component,
            choices=("off", "on"),
            default="off",
            about="whether a linear model of the features corrects the means",
        ),
        IntGene(
            name="quality.residual_ridge_log2",
            component=component,
            low=1,
            high=8,
            default=4,
            active_when=_WITH_RESIDUAL,
            about="base-2 logarithm of its ridge penalty",
        ),
        FloatGene(
            name="quality.residual_weight",
            component=component,
            low=0.0,
            high=1.5,
            default=0.5,
            active_when=_WITH_RESIDUAL,
            about="how much of the correction is applied",
        ),
    ]


def _cost_genes() -> list[ChoiceGene | FloatGene | IntGene]:
    component = "decision.cost"
    return [
        ChoiceGene(
            name="cost.predictor",
            component=component,
            choices=("mean", "grouped", "linear"),
            default="mean",
            about="one mean for each model; means by class or cluster; or a linear model of the log cost",
        ),
        IntGene(
            name="cost.ridge_log2",
            component=component,
            low=-4,
            high=6,
            default=0,
            active_when=Condition("cost.predictor", ("linear",)),
            about="base-2 logarithm of the ridge penalty of the linear model",
        ),
    ]


def _score_genes() -> list[ChoiceGene | FloatGene | IntGene]:
    component = "decision.scoring"
    return [
        FloatGene(
            name="score.cost_weight",
            component=component,
            low=1e-4,
            high=30.0,
            default=1e-4,
            log=True,
            about="points of quality (0 to 1) that the mean cost of the dearest model is worth",
        ),
        FloatGene(
            name="score.cost_exponent",
            component=component,
            low=0.3,
            high=1.5,
            default=1.0,
            about="bend of the cost term: below 1 small differences weigh more",
        ),
        FloatGene(
            name="score.caution",
            component=component,
            low=0.0,
            high=2.0,
            default=0.0,
            about="standard errors of a model's class mean that are taken off its quality",
        ),
    ]


def _exploration_genes() -> list[ChoiceGene | FloatGene | IntGene]:
    component = "decision.learning"
    return [
        FloatGene(
            name="explore.spread",
            component=component,
            low=0.0,
            high=1.0,
            default=0.3,
            about="posterior standard deviations that a sampled score may stray, as a share of the honest posterior",
        ),
        FloatGene(
            name="explore.prior_queries",
            component=component,
            low=0.5,
            high=30.0,
            default=4.0,
            log=True,
            about="queries' worth of the coarser level in each finer level's estimate",
        ),
        FloatGene(
            name="explore.floor",
            component=component,
            low=0.0,
            high=0.1,
            default=0.0,
            about="smallest probability with which each eligible model is tried",
        ),
    ]
