-- An advertisement is a touch without a referrer: what it costs is of the channel that its visits come by.
with touches as (
  select utm_source, utm_medium, referrer, click_id
  from {{ ref("int_sessions__fragments") }}
  union distinct
  select utm_source, utm_medium, cast(null as varchar) as referrer, cast(null as varchar) as click_id
  from {{ ref("stg_ad_spend") }}
),

hosts as (
  select
    *,
    {{ host_of("referrer") }} as host,
    replace(replace(lower(trim(coalesce(utm_source, ''))), ' ', '-'), '_', '-') as named_source,
    replace(replace(lower(trim(coalesce(utm_medium, ''))), ' ', '-'), '_', '-') as medium_text
  from touches
),

ignored_hosts as (
  select distinct hosts.host
  from hosts
  inner join {{ source("control", "ignored_referrers") }} as referrers
    on hosts.host = referrers.host or hosts.host like '%.' || referrers.host
),

-- The source is what the campaign names, else the referring site, unless that is one to ignore.
normalised as (
  select
    hosts.utm_source,
    hosts.utm_medium,
    hosts.referrer,
    hosts.click_id,
    hosts.medium_text,
    coalesce(hosts.click_id, '') as click_text,
    case when hosts.named_source = '' and ignored.host is null then coalesce(hosts.host, '') else '' end as host_text,
    case
      when hosts.named_source <> '' then hosts.named_source
      when ignored.host is null then coalesce(hosts.host, '')
      else ''
    end as source_text
  from hosts
  left join ignored_hosts as ignored on hosts.host = ignored.host
),

-- A site's own rules are asked before the shipped ones.
rules as (
  select
    rule_number - 1000000 as rule_number,
    channel,
    source_pattern,
    medium_pattern,
    host_pattern,
    click_pattern
  from {{ source("control", "site_channel_rules") }}

  union all

  select
    rule_number,
    channel,
    source_pattern,
    medium_pattern,
    host_pattern,
    click_pattern
  from {{ ref("channel_rules") }}
),

matched as (
  select
    normalised.utm_source,
    normalised.utm_medium,
    normalised.referrer,
    normalised.click_id,
    rules.channel,
    row_number() over (
      partition by normalised.utm_source, normalised.utm_medium, normalised.referrer, normalised.click_id
      order by rules.rule_number
    ) as rule_position
  from normalised
  inner join rules
    on
      (rules.source_pattern is null or {{ matches("normalised.source_text", "rules.source_pattern") }})
      and (rules.medium_pattern is null or {{ matches("normalised.medium_text", "rules.medium_pattern") }})
      and (rules.host_pattern is null or {{ matches("normalised.host_text", "rules.host_pattern") }})
      and (rules.click_pattern is null or {{ matches("normalised.click_text", "rules.click_pattern") }})
)

select utm_source, utm_medium, referrer, click_id, channel
from matched
where rule_position = 1
