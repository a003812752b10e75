-- Questions about a fleet, for the view "findings" of duckdb-records.sql or of
-- duckdb-parquet.sql. A run is later than another if its name is later in the alphabet, as
-- 2026-11-30 is later than 2026-11-23.

-- failing: the machines of the latest run that do not meet a requirement
SELECT machine, labels['team'] AS team, status, message
FROM findings
WHERE run = (SELECT max(run) FROM findings) AND requirement = 'win.services.domain-account'
  AND status IN ('failed', 'warning') AND NOT waived
ORDER BY machine;

-- requirements: how many machines of the latest run do not meet each requirement
SELECT requirement, max(title) AS title,
  count(DISTINCT machine) FILTER (WHERE status = 'failed') AS failed,
  count(DISTINCT machine) FILTER (WHERE status = 'warning') AS warnings,
  count(DISTINCT machine) FILTER (WHERE status = 'undetermined') AS undetermined
FROM findings
WHERE run = (SELECT max(run) FROM findings) AND status IN ('failed', 'warning', 'undetermined') AND NOT waived
GROUP BY requirement
ORDER BY failed DESC, warnings DESC, undetermined DESC, requirement;

-- labels: the machines of the latest run by a label and their verdicts
SELECT coalesce(labels['team'], '') AS team,
  count(DISTINCT machine) AS machines,
  count(DISTINCT machine) FILTER (WHERE verdict = 'ready') AS ready,
  count(DISTINCT machine) FILTER (WHERE verdict = 'not_ready') AS not_ready,
  count(DISTINCT machine) FILTER (WHERE verdict = 'inconclusive') AS inconclusive,
  count(DISTINCT machine) FILTER (WHERE error_kind IS NOT NULL) AS errors
FROM findings
WHERE run = (SELECT max(run) FROM findings)
GROUP BY ALL
ORDER BY team;

-- trend: the machines of each run and their verdicts
SELECT run,
  count(DISTINCT machine) AS machines,
  count(DISTINCT machine) FILTER (WHERE verdict = 'ready') AS ready,
  count(DISTINCT machine) FILTER (WHERE verdict = 'not_ready') AS not_ready,
  count(DISTINCT machine) FILTER (WHERE verdict = 'inconclusive') AS inconclusive,
  count(DISTINCT machine) FILTER (WHERE error_kind IS NOT NULL) AS errors
FROM findings
GROUP BY run
ORDER BY run;

-- errors: why machines of the latest run could not be scanned
SELECT error_kind, count(DISTINCT machine) AS machines, min(machine) AS example, min(error_message) AS message
FROM findings
WHERE run = (SELECT max(run) FROM findings) AND error_kind IS NOT NULL
GROUP BY error_kind
ORDER BY machines DESC, error_kind;

-- changes: what machines met in the run before the latest, and do not meet now, or the other way round
WITH runs AS (SELECT DISTINCT run FROM findings ORDER BY run DESC LIMIT 2),
now AS (SELECT * FROM findings WHERE run = (SELECT max(run) FROM runs)),
earlier AS (SELECT * FROM findings WHERE run = (SELECT min(run) FROM runs))
SELECT now.machine, now.requirement, earlier.status AS was, now.status AS now
FROM now JOIN earlier ON now.machine = earlier.machine AND now.requirement = earlier.requirement
WHERE (earlier.status IN ('failed', 'warning')) <> (now.status IN ('failed', 'warning'))
ORDER BY now.machine, now.requirement;

-- waivers: findings that a waiver covers, the first to expire first
SELECT waiver_expiry, waiver_owner, machine, requirement, waiver_reason
FROM findings
WHERE run = (SELECT max(run) FROM findings) AND waived
ORDER BY waiver_expiry, machine, requirement;

-- subjects: what a requirement is most often about in the latest run, such as a service or a package
SELECT requirement, s.kind AS kind, coalesce(s.name, s.id) AS subject, count(DISTINCT machine) AS machines
FROM (SELECT run, machine, requirement, status, unnest(subjects) AS s FROM findings)
WHERE run = (SELECT max(run) FROM findings) AND status IN ('failed', 'warning')
GROUP BY ALL
ORDER BY machines DESC, requirement, kind, subject;
