{#-
  Factor from the currency of a fact to the reporting currency on its day. NULL when a rate is missing: what cannot be converted must
  fail a test and not count as one to one. `fact_rate` and `reporting_rate` are the aliases of two joins to `int_revenue__fx_daily`.
-#}
{% macro fx_joins(currency, day) -%}
left join {{ ref("int_revenue__fx_daily") }} as fact_rate
  on {{ currency }} = fact_rate.currency and {{ day }} = fact_rate.calendar_date
left join {{ ref("int_revenue__fx_daily") }} as reporting_rate
  on reporting_rate.currency = '{{ var("reporting_currency") }}' and {{ day }} = reporting_rate.calendar_date
{%- endmacro %}

{#- An amount in the reporting currency. -#}
{% macro in_reporting_currency(amount, currency) -%}
  cast(case
    when {{ currency }} = '{{ var("reporting_currency") }}' then {{ amount }}
    else {{ amount }} * cast(fact_rate.usd_rate / reporting_rate.usd_rate as decimal(20, 10))
  end as decimal(18, 4))
{%- endmacro %}
