{#-
  One row per key: the order decides which of the rows of a key stays, and the file's place breaks ties, so that every run gives the
  same answer. `arrived_date` becomes the first day on which any of them arrived: that is when the fact became known.
-#}
{% macro one_per_key(relation, key, columns, order=[]) -%}
  select
    {{ columns | join(",\n    ") }},
    first_arrived_date as arrived_date
  from (
    select
      *,
      min(arrived_date) over (partition by {{ key | join(", ") }}) as first_arrived_date,
      row_number() over (
        partition by {{ key | join(", ") }}
        order by {{ (order + ["arrived_date", "landed_file", "landed_row"]) | join(", ") }}
      ) as copy_number
    from {{ relation }}
  ) as ranked
  where copy_number = 1
{%- endmacro %}
