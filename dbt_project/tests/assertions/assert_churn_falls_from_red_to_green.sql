-- Said, and nothing stopped for it: a company whose lights say little has other figures to publish.
{{ config(severity="warn", meta={"dagster": {"ref": {"name": "int_health__backtest"}}}) }}
select *
from {{ ref("int_health__backtest") }}
where verdict = 'does not fall'
