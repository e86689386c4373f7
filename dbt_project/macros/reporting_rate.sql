{#-
  Joins to the rates of a fact's currency and of the reporting currency on the fact's day: `fact_rate` and `reporting_rate` are aliases of
  `int_money__fx_daily`.
-#}
{% macro fx_joins(currency, day) -%}
left join {{ ref("int_money__fx_daily") }} as fact_rate
  on {{ currency }} = fact_rate.currency and {{ day }} = fact_rate.calendar_date
left join {{ ref("int_money__fx_daily") }} as reporting_rate
  on reporting_rate.currency = '{{ var("reporting_currency") }}' and {{ day }} = reporting_rate.calendar_date
{%- endmacro %}

{#-
  An amount in the reporting currency. NULL when a rate is missing, or when the result has more than 14 digits before the point: such a
  fact is left out and counted (`int_quality__unconverted`); it never counts one to one.
-#}
{% macro in_reporting_currency(amount, currency) -%}
  try_cast(case
    when {{ currency }} = '{{ var("reporting_currency") }}' then {{ amount }}
    else {{ amount }} * try_cast(fact_rate.usd_rate / reporting_rate.usd_rate as decimal(20, 10))
  end as decimal(18, 4))
{%- endmacro %}
