-- The table of coldcheck fleet export -o parquet for Amazon Athena (engine version 3). Put
-- one file a run into a prefix of its own and change LOCATION to it:
--   coldcheck fleet export s3://bucket/2026-11-30 -o parquet=2026-11-30.parquet
--   aws s3 cp 2026-11-30.parquet s3://bucket/exports/
CREATE EXTERNAL TABLE IF NOT EXISTS findings (
  run string,
  machine string,
  labels map<string,string>,
  images array<string>,
  user_name string,
  started timestamp,
  finished timestamp,
  tool_version string,
  exit_code int,
  verdict string,
  reused boolean,
  error_kind string,
  error_message string,
  error_hint string,
  platform string,
  system string,
  system_version string,
  computer_name string,
  requirement string,
  title string,
  scope string,
  severity string,
  status string,
  basis string,
  message string,
  remediation string,
  aws_error_code string,
  accepted boolean,
  waived boolean,
  waiver_reason string,
  waiver_owner string,
  waiver_expiry string,
  subjects array<struct<kind:string,id:string,name:string,reason:string,value:string>>
)
STORED AS PARQUET
LOCATION 's3://BUCKET/exports/';
