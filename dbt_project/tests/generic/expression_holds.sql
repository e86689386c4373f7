{#- An expression holds in every row; NULL counts as broken, so a column that is empty throughout cannot pass. -#}
{% test expression_holds(model, expression) %}
select *
from {{ model }}
where coalesce({{ expression }}, false) = false
{% endtest %}
