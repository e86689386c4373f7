"""The warehouse of a home: the build file, what a night folds into it, and dbt, which builds it.

Belongs here: everything that opens `warehouse.duckdb` for writing or calls dbt. Does not belong here: the SQL of the models
(`dbt_project`), and readers of published data, which never open the build file.
"""
