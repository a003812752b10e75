-- The view "findings" over the records of fleet runs, as coldcheck fleet run writes them.
-- A run is a folder: results/2026-11-30/records/*.json is the run 2026-11-30. Change the
-- pattern in the second statement to where yours are. It may begin with s3:// (INSTALL
-- httpfs; LOAD httpfs;). The columns are those of the table that
-- coldcheck fleet export -o parquet writes; docs/fleet-export.md describes them.
CREATE OR REPLACE MACRO run_of(file) AS regexp_extract(file, '([^/\\]+)[/\\]records[/\\][^/\\]+$', 1);

CREATE OR REPLACE VIEW records AS
SELECT run_of(filename) AS run, *
FROM read_json('results/*/records/*.json',
  format = 'newline_delimited',
  filename = true,
  maximum_object_size = 67108864,
  columns = {
    target: 'STRUCT(id VARCHAR, images VARCHAR[], user_name VARCHAR, labels MAP(VARCHAR, VARCHAR))',
    tool: 'STRUCT("version" VARCHAR)',
    started: 'TIMESTAMPTZ',
    finished: 'TIMESTAMPTZ',
    exit_code: 'INTEGER',
    verdict: 'VARCHAR',
    reused: 'STRUCT(basis VARCHAR)',
    error: 'STRUCT(kind VARCHAR, message VARCHAR, hint VARCHAR)',
    report: 'STRUCT(
      platform STRUCT(family VARCHAR, "name" VARCHAR, "version" VARCHAR, computer_name VARCHAR, user_name VARCHAR),
      findings STRUCT(id VARCHAR, title VARCHAR, scope VARCHAR, severity VARCHAR, status VARCHAR, basis VARCHAR,
        message VARCHAR, remediation VARCHAR, aws_error_code VARCHAR, accepted BOOLEAN,
        waiver STRUCT(reason VARCHAR, "owner" VARCHAR, expiry VARCHAR),
        subjects STRUCT(kind VARCHAR, id VARCHAR, "name" VARCHAR, reason VARCHAR, "value" VARCHAR)[])[],
      not_checked STRUCT(id VARCHAR, reason VARCHAR)[])'
  });

CREATE OR REPLACE VIEW findings AS
WITH machines AS (
  SELECT run, target.id AS machine, coalesce(target.labels, MAP {}) AS labels, target.images AS images,
    coalesce(report.platform.user_name, target.user_name) AS user_name, started, finished,
    tool.version AS tool_version, exit_code, verdict, reused IS NOT NULL AS reused,
    error.kind AS error_kind, error.message AS error_message, error.hint AS error_hint,
    report.platform.family AS platform, report.platform.name AS system, report.platform.version AS system_version,
    report.platform.computer_name AS computer_name,
    coalesce(report.findings, []) AS found, coalesce(report.not_checked, []) AS left_out
  FROM records
),
rows_of AS (
  SELECT machines.*, unnest(found) AS f, NULL::STRUCT(id VARCHAR, reason VARCHAR) AS n FROM machines
  UNION ALL BY NAME
  SELECT machines.*, unnest(left_out) AS n FROM machines
  UNION ALL BY NAME
  SELECT machines.* FROM machines WHERE len(found) + len(left_out) = 0
)
SELECT run, machine, labels, images, user_name, started, finished, tool_version, exit_code, verdict, reused,
  error_kind, error_message, error_hint, platform, system, system_version, computer_name,
  coalesce(f.id, n.id) AS requirement, f.title AS title, f.scope AS scope, f.severity AS severity,
  coalesce(f.status, CASE WHEN n.id IS NOT NULL THEN 'not_checked' END) AS status,
  f.basis AS basis, coalesce(f.message, n.reason) AS message, f.remediation AS remediation,
  f.aws_error_code AS aws_error_code, coalesce(f.accepted, false) AS accepted, f.waiver IS NOT NULL AS waived,
  f.waiver.reason AS waiver_reason, f.waiver.owner AS waiver_owner, f.waiver.expiry AS waiver_expiry,
  coalesce(f.subjects, []) AS subjects
FROM rows_of;
