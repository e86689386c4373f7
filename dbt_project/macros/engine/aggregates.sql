{#-
  The smallest or largest row of a group, as a structure of the named columns, compared in their order: with time and id in front, the
  first or last row whole.
-#}
{% macro smallest_row(columns, where="true") %}{{ return(adapter.dispatch("smallest_row")(columns, where)) }}{% endmacro %}
{% macro duckdb__smallest_row(columns, where) -%}
  min(struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ", " if not loop.last }}{% endfor %}))
  {%- if where != "true" %} filter (where {{ where }}){% endif %}
{%- endmacro %}
{% macro largest_row(columns, where="true") %}{{ return(adapter.dispatch("largest_row")(columns, where)) }}{% endmacro %}
{% macro duckdb__largest_row(columns, where) -%}
  max(struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ", " if not loop.last }}{% endfor %}))
  {%- if where != "true" %} filter (where {{ where }}){% endif %}
{%- endmacro %}

{#- A named column of such a row. -#}
{% macro field(row, name) %}{{ return(adapter.dispatch("field")(row, name)) }}{% endmacro %}
{% macro duckdb__field(row, name) -%} struct_extract({{ row }}, '{{ name }}') {%- endmacro %}

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

{#- Name of the advertising click id in an address's query, lower case; NULL without one. -#}
{% macro click_id_of(address) %}{{ return(adapter.dispatch("click_id_of")(address)) }}{% endmacro %}
{% macro duckdb__click_id_of(address) -%}
  nullif(
    regexp_extract(
      lower({{ address }}),
      '[?&#](gclid|gbraid|wbraid|msclkid|bd_vid|yclid|dclid|ttclid|twclid|li_fat_id|rdt_cid|sccid|qz_gdt|fbclid|igshid)=[^&#]', 1
    ), ''
  )
{%- endmacro %}

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

{#- One row per part of a text between separators (a literal of SQL). -#}
{% macro parts_of(text, separator) %}{{ return(adapter.dispatch("parts_of")(text, separator)) }}{% endmacro %}
{% macro duckdb__parts_of(text, separator) -%} unnest(string_split({{ text }}, {{ separator }})) {%- endmacro %}

{#- Distinct texts of a group in alphabetical order, separated by a literal of SQL. -#}
{% macro joined_texts(text, separator) %}{{ return(adapter.dispatch("joined_texts")(text, separator)) }}{% endmacro %}
{% macro duckdb__joined_texts(text, separator) -%}
  string_agg(distinct {{ text }}, {{ separator }} order by {{ text }})
{%- endmacro %}

{#- Hash of all columns of the query's relation but those named; rows that agree in them have the same. -#}
{% macro content_hash(excluded) %}{{ return(adapter.dispatch("content_hash")(excluded)) }}{% endmacro %}
{% macro duckdb__content_hash(excluded) -%}
  hash(*columns(lambda name: name not in ('{{ excluded | join("', '") }}')))
{%- endmacro %}
