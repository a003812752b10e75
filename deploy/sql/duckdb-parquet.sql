-- The view "findings" over tables that coldcheck fleet export -o parquet=exports/RUN.parquet
-- writes, one file a run. Change the pattern to where yours are.
CREATE OR REPLACE VIEW findings AS
SELECT * FROM read_parquet('exports/*.parquet');
