"""Words of the landing contract: plans, currencies, events and statuses known by name, and their other spellings.

Belongs here: lists of known values. Does not belong here: which column holds them (`contract`).
"""

SUBSCRIPTION_STATUSES = (
    "trialing",
    "active",
    "past_due",
    "canceled",
    "unpaid",
    "incomplete",
    "incomplete_expired",
    "paused",
    "ended",
)

# Spellings of billing systems; case, spaces and hyphens are ignored.
STATUS_SPELLINGS = {
    "trial": "trialing",
    "trialling": "trialing",
    "in_trial": "trialing",
    "non_renewing": "active",
    "pastdue": "past_due",
    "overdue": "past_due",
    "cancelled": "canceled",
    "cancel": "canceled",
    "cancelation": "canceled",
    "cancellation": "canceled",
    "incompleteexpired": "incomplete_expired",
    "on_hold": "paused",
    "onhold": "paused",
    "suspended": "paused",
    "expired": "ended",
    "terminated": "ended",
    "finished": "ended",
    "inactive": "ended",
}

INTERVAL_SPELLINGS = {
    "month": "month",
    "months": "month",
    "monthly": "month",
    "1_month": "month",
    "every_month": "month",
    "p1m": "month",
    "m": "month",
    "year": "year",
    "years": "year",
    "yearly": "year",
    "annual": "year",
    "annually": "year",
    "12_months": "year",
    "1_year": "year",
    "every_year": "year",
    "p1y": "year",
    "p12m": "year",
    "y": "year",
}

PLANS = ("free", "professional", "enterprise", "custom")
"""Plans that the core knows by name; a company's own are mapped onto them by `[plans]` or stay as they are spelled."""

CURRENCIES = frozenset(
    (  # noqa: SIM905 (a hundred and seventy lines otherwise)
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHF CLF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS "
        "GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD "
        "KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO "
        "NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS "
        "SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST "
        "XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "
        # Withdrawn since 2010, but present in old data.
        "BYR CUC EEK HRK LTL LVL MRO SLL STD VEF ZMK ZWL"
    ).split()
)
"""Codes of money in ISO 4217, and CNH, by which the yuan abroad goes."""

MISTAKEN_CURRENCIES = {
    "NIS": "ILS",
    "NTD": "TWD",
    "RMB": "CNY",
    "RUR": "RUB",
    "STG": "GBP",
    "UKP": "GBP",
    "YEN": "JPY",
}
"""What people write for a currency and ISO 4217 does not know, with the code that they mean."""

CORE_EVENTS = (
    "page_viewed",
    "signup_started",
    "signup_completed",
    "logged_in",
    "onboarding_completed",
    "value_achieved",
    "feature_used",
    "match_requested",
    "pricing_viewed",
    "invite_sent",
    "product_viewed",
    "cart_added",
    "checkout_started",
    "order_placed",
    "coupon_shown",
    "coupon_clicked",
    "content_viewed",
    "community_posted",
)
"""Event names with a meaning to the core; a company's own names are mapped onto them by `[event_names]`."""
