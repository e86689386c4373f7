{#- Value of one column in the row in which an ordering is smallest; ordering is a list of columns, compared in turn. -#}
{% macro first_value_by(value, ordering) %}{{ return(adapter.dispatch("first_value_by")(value, ordering)) }}{% endmacro %}
{#- arg_min_null keeps a NULL of the first row; arg_min would take the first row that is filled. -#}
{% macro duckdb__first_value_by(value, ordering) -%}
  arg_min_null({{ value }}, row({{ ordering | join(", ") }}))
{%- endmacro %}

{#- Exact quantile with linear interpolation. -#}
{% macro quantile(value, fraction) %}{{ return(adapter.dispatch("quantile")(value, fraction)) }}{% endmacro %}
{% macro duckdb__quantile(value, fraction) -%} quantile_cont({{ value }}, {{ fraction }}) {%- endmacro %}

{#- Text of a JSON object's top-level member, by a name that is data. -#}
{% macro json_text(document, name) %}{{ return(adapter.dispatch("json_text")(document, name)) }}{% endmacro %}
{% macro duckdb__json_text(document, name) -%}
  json_extract_string({{ document }}, '$."' || {{ name }} || '"')
{%- endmacro %}

{#- A number if the text is one, else NULL. -#}
{% macro number_of(text) %}{{ return(adapter.dispatch("number_of")(text)) }}{% endmacro %}
{% macro duckdb__number_of(text) -%} try_cast({{ text }} as decimal(38, 6)) {%- endmacro %}

{#- Whether a text matches a regular expression somewhere. -#}
{% macro matches(text, pattern) %}{{ return(adapter.dispatch("matches")(text, pattern)) }}{% endmacro %}
{% macro duckdb__matches(text, pattern) -%} regexp_matches({{ text }}, {{ pattern }}) {%- endmacro %}

{#- Host of an address, lower case, without `www.`; NULL when there is none. -#}
{% macro host_of(address) %}{{ return(adapter.dispatch("host_of")(address)) }}{% endmacro %}
{% macro duckdb__host_of(address) -%}
  nullif(regexp_extract(lower({{ address }}), '^(?:[a-z][a-z0-9+.-]*:)?//(?:[^/@]*@)?(?:www\.)?([^/:?#]+)', 1), '')
{%- endmacro %}

{#- Mean of the seconds between two timestamps, summed as whole microseconds so that the order of the rows does not show. -#}
{% macro average_seconds(from_at, to_at) %}{{ return(adapter.dispatch("average_seconds")(from_at, to_at)) }}{% endmacro %}
{% macro duckdb__average_seconds(from_at, to_at) -%}
  sum(epoch_us({{ to_at }}) - epoch_us({{ from_at }})) / 1e6 / nullif(count({{ to_at }} - {{ from_at }}), 0)
{%- endmacro %}
