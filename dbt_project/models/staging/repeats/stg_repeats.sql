{#- Copies of events are told apart day by day (int_events__duplicates). -#}
{%- for name in landing_keys() if name != "events" %}
select
  '{{ name }}' as source,
  arrived_date,
  count(*) as repeated_count,
  sum(case when says_the_same then 0 else 1 end) as conflict_count
from (
  select
    arrived_date,
    stays,
    max(case when stays then 1 else 0 end) over (
      partition by {{ landing_keys()[name]["key"] | join(", ") }}, content
    ) = 1 as says_the_same
  from (
    select
      *,
      {%- if name == "ad_spend" %}
      is_counted as stays,
      {%- else %}
      {{ copy_number(name) }} = 1 as stays,
      {%- endif %}
      {{ content_hash(columns_beside_content()) }} as content
    from ({{ ad_spend_rows() if name == "ad_spend" else landed_rows(name) }}) as landed
  ) as numbered
) as compared
where not stays
group by arrived_date
{{ "union all" if not loop.last }}
{%- endfor %}
