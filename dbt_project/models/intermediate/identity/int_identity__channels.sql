-- An advertisement is a touch without a referrer: what it costs is of the channel that its visits come by.
with touches as (
  select utm_source, utm_medium, referrer
  from {{ ref("int_sessions__fragments") }}
  union distinct
  select utm_source, utm_medium, cast(null as varchar) as referrer
  from {{ ref("stg_ad_spend") }}
),

normalised as (
  select
    *,
    lower(trim(coalesce(utm_source, ''))) as source_text,
    lower(trim(coalesce(utm_medium, ''))) as medium_text,
    coalesce({{ host_of("referrer") }}, '') as host_text
  from touches
),

matched as (
  select
    normalised.utm_source,
    normalised.utm_medium,
    normalised.referrer,
    rules.channel,
    row_number() over (
      partition by normalised.utm_source, normalised.utm_medium, normalised.referrer
      order by rules.rule_number
    ) as rule_position
  from normalised
  inner join {{ ref("channel_rules") }} as rules
    on
      (rules.source_pattern is null or {{ matches("normalised.source_text", "rules.source_pattern") }})
      and (rules.medium_pattern is null or {{ matches("normalised.medium_text", "rules.medium_pattern") }})
      and (rules.host_pattern is null or {{ matches("normalised.host_text", "rules.host_pattern") }})
)

select utm_source, utm_medium, referrer, channel
from matched
where rule_position = 1
