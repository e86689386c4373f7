{#-
  Path of a page, lower case: without scheme, host, matrix parameters, query, trailing slash, and fragment unless it is a route (`#/cart`).
  NULL for a page without a path.
-#}
{% macro page_path(page) -%}
  {%- set rules = [
    ("'^\\s*(?:[a-z][a-z0-9+.-]*:)?//[^/?#]*'", "'/'"),
    ("'(?s)^([^?#]*(?:#!?/[^?#]*)?).*$'", "'\\1'"),
    ("'\\s+'", "' '"),
    ("';[^/]*'", "''"),
    ("'/{2,}'", "'/'"),
  ] -%}
  {%- set ns = namespace(text="lower(trim(" ~ page ~ "))") -%}
  {%- for pattern, replacement in rules -%}
    {%- set ns.text = replaced(ns.text, pattern, replacement) -%}
  {%- endfor -%}
  case
    when {{ ns.text }} in ('/', '/#/') then {{ ns.text }}
    else nullif(trim({{ replaced(ns.text, "'[/ ]+$'", "''") }}), '')
  end
{%- endmacro %}

{#- A text with every match of a pattern replaced, both literals of SQL without escapes; `\1` stands for the first group. -#}
{% macro replaced(text, pattern, replacement) %}{{ return(adapter.dispatch("replaced")(text, pattern, replacement)) }}{% endmacro %}
{% macro duckdb__replaced(text, pattern, replacement) -%} regexp_replace({{ text }}, {{ pattern }}, {{ replacement }}, 'g') {%- endmacro %}
{% macro spark__replaced(text, pattern, replacement) -%}
  regexp_replace({{ text }}, r{{ pattern }}, {{ replacement.replace("\\", "$") }})
{%- endmacro %}

{#- A text with its percent-escapes resolved, also those that were escaped twice; as it is where they are none. -#}
{% macro unescaped(text) %}{{ return(adapter.dispatch("unescaped")(text)) }}{% endmacro %}
{% macro duckdb__unescaped(text) -%} coalesce(try(url_decode(url_decode({{ text }}))), try(url_decode({{ text }})), {{ text }}) {%- endmacro %}
{#- Spark takes a plus for a blank, as in a form. -#}
{% macro spark__unescaped(text) -%}
  {%- set once = "try_url_decode(replace(" ~ text ~ ", '+', '%2B'))" -%}
  coalesce(try_url_decode(replace({{ once }}, '+', '%2B')), {{ once }}, {{ text }})
{%- endmacro %}

{#- One row per word of a text: letters, digits, hyphens and underscores. -#}
{% macro words_of(text) %}{{ return(adapter.dispatch("words_of")(text)) }}{% endmacro %}
{% macro duckdb__words_of(text) -%} unnest(regexp_split_to_array({{ text }}, '[^\p{L}\p{N}_-]+')) {%- endmacro %}
{% macro spark__words_of(text) -%} explode(split({{ text }}, r'[^\p{L}\p{N}_-]+')) {%- endmacro %}

{#- Segments of the paths in a relation's column `path`: path, place, segment, and its text with percent-escapes resolved. -#}
{% macro path_segments(relation) %}{{ return(adapter.dispatch("path_segments")(relation)) }}{% endmacro %}
{% macro duckdb__path_segments(relation) -%}
  select
    *,
    lower(trim({{ unescaped("segment") }})) as decoded
  from (
    select
      path,
      unnest(string_split(path, '/')) as segment,
      generate_subscripts(string_split(path, '/'), 1) as place
    from {{ relation }}
    where path is not null
  )
{%- endmacro %}
{% macro spark__path_segments(relation) -%}
  select
    *,
    lower(trim({{ unescaped("segment") }})) as decoded
  from (
    select
      path,
      segment,
      number + 1 as place
    from {{ relation }}
    lateral view posexplode(split(path, '/')) parts as number, segment
    where path is not null
  ) as segments
{%- endmacro %}

{#- The segments of a path put together again, in a group. -#}
{% macro path_of(segment, place) %}{{ return(adapter.dispatch("path_of")(segment, place)) }}{% endmacro %}
{% macro duckdb__path_of(segment, place) -%} string_agg({{ segment }}, '/' order by {{ place }}) {%- endmacro %}
{% macro spark__path_of(segment, place) -%}
  array_join(
    transform(
      array_sort(collect_list(named_struct('place', {{ place }}, 'segment', {{ segment }}))),
      part -> part.segment
    ), '/'
  )
{%- endmacro %}

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
{% macro spark__is_id_by_form(decoded) -%}
  (
    {{ decoded }} rlike '@|[0-9]{5}|[0-9a-f]{16}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}'
    or ({{ decoded }} rlike r'^[a-z0-9_=+.-]{20,}\z' and {{ decoded }} rlike '[0-9]')
  )
{%- endmacro %}
