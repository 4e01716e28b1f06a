-- SPDX-License-Identifier: Apache-2.0
SELECT
    c.host_id::int4, c.cmd_id::uuid, c.action::text, c.state::text, c.dry_run::bool, c.proc_id::int8, c.pid::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = c.host_id), '')::text,
    coalesce((SELECT p.comm FROM process p WHERE p.host_id = c.host_id AND p.proc_id = c.proc_id), '')::text,
    c.actor::text, c.reason::text, c.alert_id::int8, c.counter::int8, c.fence::int8,
    c.created::timestamptz, c.expires::timestamptz, c.sent::timestamptz, c.done::timestamptz,
    c.rss_before::int8, c.rss_after::int8, c.swap_before::int8, c.swap_after::int8, c.held_us::int8,
    c.detail::text, c.request_hash::bytea, c.params::text, coalesce(c.effects::text, '')::text, coalesce(c.verdict, '')::text,
    c.verify_next::timestamptz, c.history::text, c.approved::timestamptz, coalesce(c.approved_by, '')::text, c.warrant::bytea
FROM command c
WHERE ($1::int4 = 0 OR c.host_id = $1::int4)
  AND ($2::text IS NULL OR c.state = $2::text)
  AND ($3::int8 = 0 OR c.alert_id = $3::int8)
  AND ($4::timestamptz IS NULL OR (c.created, c.cmd_id) < ($4::timestamptz, $5::uuid))
ORDER BY c.created DESC, c.cmd_id DESC
LIMIT $6::int4
