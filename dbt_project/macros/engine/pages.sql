{#-
  Path of a page, lower case: without scheme, host, matrix parameters, query, trailing slash, and fragment unless it is a route (`#/cart`).
  NULL for a page without a path.
-#}
{% macro page_path(page) %}{{ return(adapter.dispatch("page_path")(page)) }}{% endmacro %}
{% macro duckdb__page_path(page) -%}
  {%- set rules = [
    ("^\\s*(?:[a-z][a-z0-9+.-]*:)?//[^/?#]*", "/"),
    ("^([^?#]*(?:#!?/[^?#]*)?).*$", "\\1"),
    ("\\s+", " "),
    (";[^/]*", ""),
    ("/{2,}", "/"),
  ] -%}
  {%- set ns = namespace(text="lower(trim(" ~ page ~ "))") -%}
  {%- for pattern, replacement in rules -%}
    {%- set ns.text = "regexp_replace(" ~ ns.text ~ ", '" ~ pattern ~ "', '" ~ replacement ~ "', 'gs')" -%}
  {%- endfor -%}
  case
    when {{ ns.text }} in ('/', '/#/') then {{ ns.text }}
    else nullif(trim(regexp_replace({{ ns.text }}, '[/ ]+$', '')), '')
  end
{%- endmacro %}

{#- Segments of the paths in a relation's column `path`: path, place, segment, and its text with percent-escapes resolved. -#}
{% macro path_segments(relation) %}{{ return(adapter.dispatch("path_segments")(relation)) }}{% endmacro %}
{% macro duckdb__path_segments(relation) -%}
  select
    *,
    lower(trim(coalesce(try(url_decode(segment)), segment))) as decoded
  from (
    select
      path,
      unnest(string_split(path, '/')) as segment,
      generate_subscripts(string_split(path, '/'), 1) as place
    from {{ relation }}
    where path is not null
  )
{%- endmacro %}

{#- The segments of a path put together again, in a group. -#}
{% macro path_of(segment, place) %}{{ return(adapter.dispatch("path_of")(segment, place)) }}{% endmacro %}
{% macro duckdb__path_of(segment, place) -%} string_agg({{ segment }}, '/' order by {{ place }}) {%- endmacro %}

{#-
  Whether a segment, its percent-escapes resolved, has the form of an id: an e-mail address, five digits in a row, 16 hex digits in a
  row, a UUID, or a token of 20 characters and more with a digit in it.
-#}
{% macro is_id_by_form(decoded) %}{{ return(adapter.dispatch("is_id_by_form")(decoded)) }}{% endmacro %}
{% macro duckdb__is_id_by_form(decoded) -%}
  (
    regexp_matches({{ decoded }}, '@|[0-9]{5}|[0-9a-f]{16}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
    or (regexp_full_match({{ decoded }}, '[a-z0-9_=+.-]{20,}') and regexp_matches({{ decoded }}, '[0-9]'))
  )
{%- endmacro %}
