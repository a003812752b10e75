-- The records themselves for Amazon Athena (engine version 3), without an export. Change
-- LOCATION to the prefix above those of the runs: s3://BUCKET/fleet/2026-11-30/records/ is
-- the run 2026-11-30. The prefix must have nothing but records. Athena runs one statement
-- at a time. The view has the columns of the table in athena-parquet.sql but images.
CREATE EXTERNAL TABLE IF NOT EXISTS records (
  target struct<id:string,user_name:string,labels:map<string,string>>,
  tool struct<version:string>,
  started string,
  finished string,
  exit_code int,
  verdict string,
  reused struct<basis:string>,
  error struct<kind:string,message:string,hint:string>,
  report struct<
    platform:struct<family:string,name:string,version:string,computer_name:string,user_name:string>,
    findings:array<struct<id:string,title:string,scope:string,severity:string,status:string,basis:string,
      message:string,remediation:string,aws_error_code:string,accepted:boolean,
      waiver:struct<reason:string,owner:string,expiry:string>,
      subjects:array<struct<kind:string,id:string,name:string,reason:string,value:string>>>>,
    not_checked:array<struct<id:string,reason:string>>>
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES ('case.insensitive' = 'FALSE', 'ignore.malformed.json' = 'FALSE')
LOCATION 's3://BUCKET/fleet/';

CREATE OR REPLACE VIEW findings AS
WITH machines AS (
  SELECT regexp_extract("$path", '([^/]+)/records/[^/]+$', 1) AS run, target.id AS machine, target.labels AS labels,
    coalesce(report.platform.user_name, target.user_name) AS user_name,
    from_iso8601_timestamp(started) AS started, from_iso8601_timestamp(finished) AS finished,
    tool.version AS tool_version, exit_code, verdict, reused IS NOT NULL AS reused,
    error.kind AS error_kind, error.message AS error_message, error.hint AS error_hint,
    report.platform.family AS platform, report.platform.name AS system, report.platform.version AS system_version,
    report.platform.computer_name AS computer_name,
    report.findings AS found, report.not_checked AS left_out
  FROM records
)
SELECT run, machine, labels, user_name, started, finished, tool_version, exit_code, verdict, reused, error_kind,
  error_message, error_hint, platform, system, system_version, computer_name, f.id AS requirement, f.title, f.scope,
  f.severity, f.status, f.basis, f.message, f.remediation, f.aws_error_code, coalesce(f.accepted, false) AS accepted,
  f.waiver IS NOT NULL AS waived, f.waiver.reason AS waiver_reason, f.waiver.owner AS waiver_owner,
  f.waiver.expiry AS waiver_expiry, f.subjects
FROM machines CROSS JOIN UNNEST(found)
  AS f(id, title, scope, severity, status, basis, message, remediation, aws_error_code, accepted, waiver, subjects)
UNION ALL
SELECT run, machine, labels, user_name, started, finished, tool_version, exit_code, verdict, reused, error_kind,
  error_message, error_hint, platform, system, system_version, computer_name, n.id, NULL, NULL,
  NULL, 'not_checked', NULL, n.reason, NULL, NULL, false, false, NULL, NULL, NULL, NULL
FROM machines CROSS JOIN UNNEST(left_out) AS n(id, reason)
UNION ALL
SELECT run, machine, labels, user_name, started, finished, tool_version, exit_code, verdict, reused, error_kind,
  error_message, error_hint, platform, system, system_version, computer_name, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, false, false, NULL, NULL, NULL, NULL
FROM machines
WHERE coalesce(cardinality(found), 0) + coalesce(cardinality(left_out), 0) = 0;
