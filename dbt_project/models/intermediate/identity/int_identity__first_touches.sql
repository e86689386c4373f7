select
  person_id,
  min(event_date) as first_seen_date,
  min(first_event_at) as first_seen_at,
  {% for column in first_touch_columns() %}
  {{ first_value_by(column, ["event_date"]) }} as {{ column }}{{ "," if not loop.last }}
  {% endfor %}
from {{ ref("int_activity__person_day") }}
group by person_id
