-- SPDX-License-Identifier: Apache-2.0
-- One at a time, so that each gets its audit row. What was sent is given $2 for its answer.
UPDATE command AS c
SET state = 'expired', done = $1::timestamptz,
    detail = CASE c.state WHEN 'waiting_approval' THEN 'nobody approved it in time'
                          WHEN 'queued' THEN CASE WHEN mh_held_back(c.host_id, c.proc_id, c.dry_run, c.expires)
                                                  THEN 'maintenance held it back until its time was over'
                                                  ELSE 'the host was not connected in time' END
                          ELSE 'sent, but no answer came' END
WHERE (c.host_id, c.cmd_id) = (
    SELECT o.host_id, o.cmd_id
    FROM command o
    WHERE (o.state IN ('queued', 'waiting_approval') AND o.expires <= $1::timestamptz)
       OR (o.state IN ('sent', 'running') AND o.expires <= $2::timestamptz)
    ORDER BY o.expires
    LIMIT 1)
  AND mh_fenced($3::int8)
RETURNING
    c.host_id::int4, c.cmd_id::uuid, c.action::text, c.state::text, c.dry_run::bool, c.proc_id::int8, c.pid::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = c.host_id), '')::text,
    coalesce((SELECT p.comm FROM process p WHERE p.host_id = c.host_id AND p.proc_id = c.proc_id), '')::text,
    c.actor::text, c.reason::text, c.alert_id::int8, c.counter::int8, c.fence::int8,
    c.created::timestamptz, c.expires::timestamptz, c.sent::timestamptz, c.done::timestamptz,
    c.rss_before::int8, c.rss_after::int8, c.swap_before::int8, c.swap_after::int8, c.held_us::int8,
    c.detail::text, c.request_hash::bytea, c.params::text, coalesce(c.effects::text, '')::text, coalesce(c.verdict, '')::text,
    c.verify_next::timestamptz, c.history::text, c.approved::timestamptz, coalesce(c.approved_by, '')::text, c.warrant::bytea
