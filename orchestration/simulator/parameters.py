"""The planted truth: all rates, prices and shares of the simulated company.

Belongs here: parameters, as data, all written to `truth.json`. Does not belong here: drawing from them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Touch:
    """One form in which a visit shows its channel; None leaves the column empty. `weight` is its share within the channel."""

    weight: float
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    referrer: str | None = None
    currency: str = "CNY"  # of its advertising account


@dataclass(frozen=True)
class Channel:
    """An acquisition channel: its share of first visits, its multipliers, and the cost of a sign-up (paid channels)."""

    name: str
    visitor_share: float
    signup_multiplier: float
    paid_multiplier: float
    touches: tuple[Touch, ...]
    cost_per_signup_cny: float | None = None


CHANNELS = (
    Channel(
        "organic_search",
        0.26,
        1.15,
        1.15,
        (
            Touch(0.55, referrer="https://www.baidu.com/link"),
            Touch(0.35, referrer="https://www.google.com/"),
            Touch(0.10, referrer="https://www.bing.com/"),
        ),
    ),
    Channel(
        "paid_search",
        0.18,
        1.10,
        1.00,
        (
            Touch(0.40, "baidu", "cpc", "brand_search", "https://www.baidu.com/link"),
            Touch(0.30, "baidu", "cpc", "ai_services", "https://www.baidu.com/link"),
            Touch(0.30, "google", "cpc", "ai_services_intl", "https://www.google.com/", "USD"),
        ),
        cost_per_signup_cny=320.0,
    ),
    Channel(
        "paid_social",
        0.15,
        0.65,
        0.55,
        (
            Touch(0.65, "douyin", "paid_social", "short_video"),
            Touch(0.35, "facebook", "paid_social", "lookalike", "https://l.facebook.com/", "USD"),
        ),
        cost_per_signup_cny=480.0,
    ),
    Channel(
        "email", 0.06, 1.30, 1.20, (Touch(0.7, "newsletter", "email", "weekly"), Touch(0.3, "newsletter", "email", "launch"))
    ),
    Channel(
        "referral",
        0.09,
        1.20,
        1.25,
        (
            Touch(0.6, referrer="https://www.industry-digest.example/ai-services"),
            Touch(0.4, referrer="https://reviews.example/matching-platforms"),
        ),
    ),
    Channel("direct", 0.16, 1.00, 1.10, (Touch(1.0),)),
    Channel("wecom", 0.06, 1.35, 1.15, (Touch(1.0, "wecom", "wecom", "community"),)),
    Channel(
        "partner",
        0.04,
        1.40,
        1.40,
        (Touch(0.6, "cloud_alliance", "partner", "co_sell"), Touch(0.4, "erp_vendor", "partner", "marketplace")),
    ),
)


@dataclass(frozen=True)
class Experiment:
    """A split of units in two: the trigger of exposure, the intended and the actual share of treated units, and the effect.

    step, treated_rate: the step of `PLG_STEPS` changed by the treatment, and its rate for treated units; none in an A/A test.
    """

    name: str
    unit: str
    exposed_by: str
    variants: tuple[str, str]
    intended_share: float
    treated_share: float
    step: str | None = None
    treated_rate: float | None = None


CHECKLIST = Experiment(
    "onboarding_checklist", "user", "signup_completed", ("control", "checklist"), 0.5, 0.5, "onboarding_complete", 0.90
)
EXPERIMENTS = (
    CHECKLIST,
    Experiment("pricing_page_aa", "user", "logged_in", ("a", "b"), 0.5, 0.5),
    Experiment("invite_banner", "account", "account_seen", ("control", "banner"), 0.5, 0.4),
)

# Persons belong to the platform (B2B) by default; this share of sign-ups are customers of the shop.
SHOP_SIGNUP_SHARE = 0.3

# Probability of each step given the previous one; the channel multiplies the first and the last.
# `paid_conversion` is drawn for the account's first member, who pays for all.
PLG_STEPS = {
    "signup_start": 0.14,
    "signup_complete": 0.68,
    "first_login": 0.93,
    "onboarding_complete": 0.80,
    "first_value_achieved": 0.75,
    "active_user": 0.62,
    "paid_conversion": 0.42,
}
# Lognormal lag after the previous step: median in seconds and sigma.
PLG_LAGS = {
    "signup_start": (240.0, 0.8),
    "signup_start_on_return": (172_800.0, 0.7),
    "signup_complete": (150.0, 0.7),
    "first_login": (90.0, 1.5),
    "onboarding_complete": (600.0, 1.2),
    "first_value_achieved": (900.0, 1.8),
    "paid_conversion": (172_800.0, 0.8),
}
RETURN_SIGNUP_SHARE = 0.25
RETURN_VISITS_MEAN = 0.3
RETURN_DIRECT_SHARE = 0.6
PRICING_VIEW_RATE = 0.25
ACTIVE_DAYS = 3

FOUNDER_SHARE = 0.38
TEAM_LIMIT = 12

# Customers before the first day, per person who signs up in the period.
BASE_PAYING_ACCOUNTS = 0.16
BASE_FREE_ACCOUNTS = 0.05
BASE_SHOP_CUSTOMERS = 0.15
BASE_AGE_DAYS = (25, 365)
BASE_TEAM_MEAN = 3.0

# Price lists in cents by (plan, interval); an account's currency never changes.
PRICES = {
    "CNY": {
        ("professional", "month"): 99_900,
        ("professional", "year"): 999_900,
        ("enterprise", "month"): 499_900,
        ("enterprise", "year"): 4_999_900,
    },
    "EUR": {
        ("professional", "month"): 12_900,
        ("professional", "year"): 129_000,
        ("enterprise", "month"): 64_000,
        ("enterprise", "year"): 640_000,
    },
}
CUSTOM_YEAR_CNY_MEDIAN = 120_000.0
PLAN_SHARES = {"professional": 0.76, "enterprise": 0.21, "custom": 0.03}
YEARLY_SHARE = 0.25
TRIAL_DAYS = 14

PAYMENT_FAILURE_RATE = 0.06
RETRY_DAYS = (3, 4)  # days from a refusal to the next attempt; canceled when the last is refused
RETRY_SUCCESS_RATE = 0.6
REFUND_RATE = 0.015
UPGRADE_RATE = 0.03  # professional → enterprise, at a renewal
DOWNGRADE_RATE = 0.02  # enterprise → professional, at a renewal
REACTIVATION_RATE_30D = 0.06

# logit of the probability that a paying account cancels within 30 days. Terms, all observable from what landed:
# usage_decline = max(0, 1 − (active person-days of the last 14 days + 1) ÷ (half of those of the 28 days before + 1));
# failed_payment = 1 when a payment was refused in the last 30 days; contract_proximity = max(0, 1 − days to renewal ÷ 30);
# engagement = min(1, active person-days of the last 14 days ÷ (5 × seats)); feature_adoption = features the account's people
# know ÷ 12; enterprise = 1 on plans enterprise and custom; tickets = min(1, sum of the severities' weights over the tickets
# that were opened in the last 30 days and have landed); unsolved = 1 when one of them landed unsolved.
CHURN_LOGIT = {
    "intercept": -1.2,
    "usage_decline": 6.0,
    "engagement": -3.5,
    "failed_payment": 1.2,
    "contract_proximity": 0.6,
    "feature_adoption": -7.5,
    "enterprise": -0.5,
    "tickets": 4.5,
    "unsolved": 2.0,
}
# An episode of decline starts with this probability per day; use falls to 1 − depth over the ramp, stays, and recovers as
# slowly.
DECLINE_START_RATE = 0.004
DECLINE_DEPTH = (0.6, 0.98)
DECLINE_RAMP_DAYS = 10.0
DECLINE_HOLD_DAYS = (20.0, 60.0)
CANCELED_ACTIVITY = 0.04
FREE_DROPOUT_RATE = 0.015  # per person and day, on accounts that do not pay
PAID_DROPOUT_RATE = 0.0005

ACTIVITY_RATE = (3.0, 3.5)  # Beta parameters of a person's probability to be active on an ordinary working day
SESSIONS_MEAN_EXTRA = 0.3
SESSION_EVENTS_MEAN = 5.0
APP_EVENTS = {
    "feature_used": 0.62,
    "match_requested": 0.16,
    "content_viewed": 0.16,
    "community_posted": 0.04,
    "pricing_viewed": 0.02,
}
# Beta parameters of an account's appetite for features; each member knows a binomial number of features.
FEATURE_APPETITE = (1.6, 1.6)
FEATURES = (
    "ai_match",
    "vendor_search",
    "brief_editor",
    "shortlist",
    "quote_compare",
    "project_board",
    "report_export",
    "team_chat",
    "contract_review",
    "budget_planner",
    "api_access",
    "benchmarking",
)

WEEK_PLATFORM = (1.08, 1.12, 1.1, 1.08, 1.0, 0.42, 0.38)  # Monday … Sunday
WEEK_SHOP = (0.85, 0.85, 0.88, 0.92, 1.1, 1.35, 1.3)
YEAR_AMPLITUDE = 0.06
YEAR_PEAK_DAY = 320  # of the year
VISITOR_GROWTH_30D = 0.05
BAD_WEEK_VISITS = 0.55
BAD_WEEK_ACTIVITY = 0.75
BAD_WEEK_POSITION = 0.6  # share of the period before it
BAD_WEEK_MINIMUM_DAYS = 28  # shorter periods have none

SHOP_STEPS = {"cart_added": 0.32, "checkout_started": 0.55, "order_placed": 0.72}
# As in BG/NBD, the purchase rate per day is Gamma(r, rate alpha) and the dropout probability after a purchase Beta(a, b).
SHOP_REPEAT = {"r": 1.3, "alpha": 32.0, "a": 1.0, "b": 3.0}
SHOP_BROWSE_ONLY_RATE = 0.6  # of a customer's later sessions
SHOP_CATEGORIES = {"books": (68.0, 0.50), "devices": (420.0, 0.72), "courses": (199.0, 0.25), "supplies": (88.0, 0.60)}
SHOP_COUPON_RATE = 0.12  # of sessions, in which a coupon is shown
SHOP_COUPON_CLICK_RATE = 0.3
SHOP_DISCOUNT_RATE = 0.2
SHOP_RETURN_RATE = 0.05
SHOP_PARTIAL_REFUND_RATE = 0.015
SHOP_CANCEL_RATE = 0.01
SHOP_EUR_RATE = 0.02
# Days from an order to its return, partial refund or cancellation, when its state lands again. Some partial refunds are in the
# payments instead, and some returns in both.
SHOP_RETURN_DAYS = (2.0, 20.0)
SHOP_CANCEL_DAYS = (0.02, 1.0)
SHOP_PAYMENT_REFUND_RATE = 0.5

DUPLICATE_RATE = 0.005
RESENT_COPIES = 233  # of one event, from this share of the period on
RESENT_POSITION = 0.3
LATE_RATE = 0.01  # received 1 to 3 days after the event
VERY_LATE_RATE = 0.002  # received 3 to 150 days after: 3 days plus a lognormal with this median and sigma, cut off at 150
VERY_LATE_MEDIAN_DAYS = 12.0
VERY_LATE_SIGMA = 1.3
LATEST_DAYS = 150
# Share of later states followed by a repeated export of the previous state.
STALE_STATE_RATE = 0.1
# First states that are corrected within days: amounts of payments, cost and clicks of advertising, scores of surveys.
PAYMENT_CORRECTION_RATE = 0.01
SPEND_CORRECTION_RATE = 0.3
SURVEY_CHANGE_RATE = 0.03
CORRECTION_DAYS = (1.0, 4.0)
# Unsolved tickets and unanswered feedback that are settled later, and the days after opening or writing.
LATE_SOLUTION_RATE = 0.5
LATE_SOLUTION_DAYS = (31.0, 60.0)
LATE_ANSWER_RATE = 0.4
LATE_ANSWER_DAYS = (8.0, 30.0)
LATE_RECORD_RATE = 0.004  # of payments, orders and changes of subscriptions, by 1 to 150 days, the logarithm uniform
JUNK_ID_RATE = 0.0003  # events whose anonymous id is one of these
JUNK_IDS = ("null", "0", "undefined", "unknown", "none", "nan", "-", "00000000-0000-0000-0000-000000000000")
# Bad rows per text file as a share of its good rows, below the 1 % at which a partition is refused.
BAD_ROW_RATE = 0.008
BAD_ROWS_PER_FILE = 12
# Column drift: the source, the column, and the share of the period after which it is new, or missing in one file.
NEW_COLUMN = ("orders", "gift_wrap", 0.5)
MISSING_COLUMN = ("users", "birth_year", 0.7)
BOT_COUNT = 3
BOT_DAYS = 2
BOT_EVENTS_PER_DAY = (3_400, 4_600)
INTERNAL_USERS = (3, 0.004)  # at least, and per person who signs up

FX_USD = {"CNY": 0.1385, "EUR": 1.085}
FX_DAILY_VOLATILITY = 0.0025

COUNTRIES = {"CN": 0.86, "SG": 0.04, "HK": 0.04, "US": 0.03, "DE": 0.03}
CITY_TIERS = (0.34, 0.27, 0.19, 0.13, 0.07)
DEVICES = {
    ("desktop", "windows"): 0.38,
    ("desktop", "macos"): 0.14,
    ("mobile", "android"): 0.28,
    ("mobile", "ios"): 0.17,
    ("tablet", "ios"): 0.03,
}
DEVICES_PER_PERSON = (0.68, 0.25, 0.07)  # one, two, three
# A device in a meeting room is used by two people of a team, each for this share of their sessions.
MEETING_ROOM_RATE = 0.05  # of accounts with two people or more
MEETING_ROOM_USE = 0.2

EXPERIMENT_PERIOD = (0.1, 0.9)  # shares of the period at which experiments begin and end

# Tickets per paying account and day: Gamma-distributed between accounts, growing with the seats, and many times higher during
# problems. Accounts that do not pay open few.
TICKET_RATE = 0.012
TICKET_RATE_SHAPE = 0.7
TICKET_FREE_FACTOR = 0.1
TROUBLE_START_RATE = 0.0025
TROUBLE_DAYS = (20.0, 50.0)
TROUBLE_FACTOR = 10.0
# Severity: its share, its weight among the causes of churn, and the median hours to a first response and to the solution.
TICKET_SEVERITIES = {
    "low": (0.35, 0.15, 10.0, 40.0),
    "normal": (0.40, 0.30, 5.0, 30.0),
    "high": (0.18, 0.60, 2.0, 26.0),
    "urgent": (0.07, 1.00, 0.5, 20.0),
}
TICKET_SOLUTION_SIGMA = 1.1
TICKET_EXPORT_DAYS = 7  # a ticket lands when it is solved, an unsolved one this many days after it was opened

# Scores fall by the slope per unit of the churn logit above the middle; then noise, rounding and clipping to the scale.
SATISFACTION_MIDDLE = -7.5
NPS_RATE = 0.006  # per active person and day
NPS_SCORE = {"mean": 7.9, "slope": 0.75, "noise": 1.6}
CSAT_RATE = 0.006  # per active person and day, and CSAT_TICKET_RATE per ticket that landed
CSAT_TICKET_RATE = 0.35
CSAT_SCORE = {"mean": 4.1, "slope": 0.3, "noise": 0.8}
CSAT_UNSOLVED_PENALTY = 1.2
COMMENT_RATE = 0.3

FEEDBACK_RATE = 0.006  # per active person and day
FEEDBACK_CHANNELS = {"in_app": 0.55, "email": 0.2, "wecom": 0.17, "app_store": 0.08}
FEEDBACK_ANSWER_RATE = 0.7
FEEDBACK_EXPORT_DAYS = 7  # lands when it is answered, without an answer after this many days
# Topic: its share among satisfied and among dissatisfied people (churn logit below or above the middle).
FEEDBACK_TOPICS = {
    "praise": (0.34, 0.04),
    "feature_request": (0.26, 0.14),
    "onboarding": (0.12, 0.12),
    "pricing": (0.10, 0.20),
    "matching_quality": (0.08, 0.20),
    "performance": (0.06, 0.18),
    "billing": (0.04, 0.12),
}
CHINESE_SHARE = {"CN": 0.96, "HK": 0.7, "SG": 0.4, "US": 0.05, "DE": 0.02}

# Private domain: shares that become contacts (of visitors from wecom, of users of the platform, of customers of the shop).
WECOM_CONTACT_SHARES = {"channel": 0.5, "platform": 0.25, "shop": 0.2}
WECOM_ACCEPT_RATE = 0.72
WECOM_LINK_RATE = 0.6  # of the contacts who are users, known as such once they signed up
WECOM_LIFETIME_DAYS = 220.0
WECOM_STAFF = 6
WECOM_GROUPS = 12
WECOM_GROUP_SHARE = 0.3
WECOM_MESSAGE_RATE = 0.05  # per contact and day
WECOM_REPLY_RATE = 0.35
WECOM_MOMENT_WEEKDAYS = (1, 4)
WECOM_MOMENT_REACH = 0.12
WECOM_REACTION_RATE = 0.15
WECOM_GROUP_MESSAGE_RATE = 0.04  # per contact in a group and day

# A paying account measures its outcomes once in this many days; actual ÷ expected depends on satisfaction.
OUTCOME_EVERY_DAYS = 90
OUTCOME_EXPECTED_ROI_MEDIAN = 2.2
OUTCOME_RATIO = {"mean": 0.9, "slope": 0.12, "noise": 0.18}

ERASURE_RATE = 1 / 300  # requests per person who signs up
ERASURE_FROM_DAY = 30
ERASURE_NEXT_DAY_SHARE = 0.4  # arrive the day after


def parameters() -> dict[str, object]:
    """All plain-data constants of this module, by lower-case name: the first half of `truth.json`."""
    apart = {"CHANNELS", "CHECKLIST", "EXPERIMENTS"}
    return {name.lower(): value for name, value in globals().items() if name.isupper() and name not in apart}
