-- SPDX-License-Identifier: Apache-2.0
-- What decides whether one more action may be asked for now: command/standdown.h. A census takes nothing
-- away and a dry run does nothing: neither counts. Services are those of a host; one of several hosts is
-- restarted on one of them at a time.
WITH open AS (
    SELECT c.host_id, c.action, c.proc_id, coalesce(p.service, '') AS service
      FROM command AS c LEFT JOIN process AS p USING (host_id, proc_id)
     WHERE c.state IN ('queued', 'sent', 'running') AND NOT c.dry_run AND c.action <> 'census'
), mine AS (
    SELECT c.host_id, c.state, c.verdict, c.verify_next, c.created
      FROM command AS c
     WHERE c.actor = $4::text AND c.action = $3::text AND NOT c.dry_run AND c.created > $6::timestamptz - interval '1 day'
), touched AS (
    SELECT coalesce(c.done, c.created) AS t
      FROM command AS c LEFT JOIN process AS p USING (host_id, proc_id)
     WHERE c.host_id = $1::int4 AND c.action = $3::text AND NOT c.dry_run AND c.created > $6::timestamptz - interval '1 day'
       AND c.state IN ('done', 'ineffective', 'failed', 'unknown')
       AND (c.proc_id = $2::int8 OR ($5::text <> '' AND p.service = $5::text))
)
SELECT (SELECT count(*) FROM open)::int4,
       (SELECT count(*) FROM command AS c
         WHERE c.created > $6::timestamptz - interval '26 hours' AND NOT c.dry_run AND c.action <> 'census'
           AND coalesce(c.approved, c.created) > $6::timestamptz - interval '1 hour'
           AND c.state NOT IN ('refused', 'expired', 'cancelled', 'waiting_approval'))::int4,
       coalesce((SELECT h.name FROM open AS o JOIN host AS h USING (host_id)
                  WHERE $5::text <> '' AND o.service = $5::text
                    AND (o.host_id = $1::int4 OR (o.action = 'restart' AND $3::text = 'restart'))
                  LIMIT 1), '')::text,
       (SELECT max(t) FROM touched)::timestamptz,
       (SELECT max(created) FROM mine WHERE verdict = 'gained')::timestamptz,
       coalesce((SELECT h.name FROM mine AS m JOIN host AS h USING (host_id)
                  WHERE m.state IN ('queued', 'sent', 'running') OR m.verify_next IS NOT NULL
                  ORDER BY m.created DESC LIMIT 1), '')::text,
       b.bad::int4, b.last::timestamptz
  FROM mh_bad_results($4::text, $3::text) AS b
